"""Permutations that are easy to tell apart."""

import functools
import itertools

import numpy as np


@functools.lru_cache
def hamming_permutations(
  num: int, *, length: int = 9, seed: int = 0
) -> np.ndarray:
  """Chooses permutations that differ in as many places as possible.

  Greedy: the first is drawn at random; each next one is the farthest from all
  chosen ones, that is, its smallest Hamming distance to them is largest; among
  equals, the sum of its distances is largest; among equals again, chance (the
  seed) decides. It goes through all `length`! permutations for each choice:
  with 9 places less than a second for 100.

  Deviation: algorithm 1 of Noroozi and Favaro (2016,
  https://arxiv.org/abs/1603.09246) looks at the mean distance only, which
  leaves pairs that are close to each other.

  Args:
    num: how many; at most `length`!.
    length: places.
    seed: seed of the first choice and of ties.

  Returns:
    int32 [num, length], read-only, rows distinct; the same for the same
    arguments.
  """
  everything = itertools.chain.from_iterable(
    itertools.permutations(range(length))
  )
  candidates = np.fromiter(everything, np.uint8).reshape(-1, length)
  # Shuffled, so that the first of equals, which argmax takes, is a random one.
  # [length, n!], copied, so that what is compared lies together.
  places = np.random.default_rng(seed).permutation(candidates).T.copy()
  nearest = np.full(places.shape[1], length, np.int32)
  total = np.zeros(places.shape[1], np.int32)
  chosen = [0]
  while len(chosen) < num:
    distance = (places != places[:, chosen[-1], None]).sum(0, dtype=np.int32)
    np.minimum(nearest, distance, out=nearest)
    total += distance
    # The sum is at most length * num, so it decides between equals only.
    chosen.append(int(np.argmax(nearest * (length * num + 1) + total)))
  result = places[:, chosen].T.astype(np.int32)
  result.flags.writeable = False
  return result
