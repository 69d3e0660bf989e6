"""Processor time of kNN: ours beside PyTorch, faiss and scikit-learn.

  python -m benchmarks.speed.knn --out rows.jsonl

All search the same random features for 200 neighbours by cosine similarity, on
one thread, in turns within one process. Ours also votes. A peer that is not
installed is left out by name. One JSON object a row: medians in seconds, and
the ratio of the peer's to ours.
"""

import argparse
from collections.abc import Callable
import functools
import importlib.util
import json
import pathlib
import statistics

import numpy as np

from benchmarks.speed import turns
from jaxssl.evals import knn

NEIGHBOURS, CLASSES = 200, 1000
# Queries, bank, dimensions.
SIZES = ((512, 50_000, 384), (5_000, 50_000, 384), (2_048, 200_000, 768))
Search = Callable[[np.ndarray, np.ndarray], object]


def ours(bank: np.ndarray, queries: np.ndarray) -> object:
  labels = np.arange(len(bank)) % CLASSES
  return knn.knn_predict(bank, labels, queries, ks=(20, NEIGHBOURS))


def torch_topk(bank: np.ndarray, queries: np.ndarray) -> object:
  import torch
  from torch.nn.functional import normalize

  torch.set_num_threads(1)
  rows = normalize(torch.from_numpy(bank))
  parts = normalize(torch.from_numpy(queries)).split(1024)
  return [(part @ rows.T).topk(NEIGHBOURS) for part in parts]


def faiss_flat(bank: np.ndarray, queries: np.ndarray) -> object:
  import faiss  # pyright: ignore[reportMissingImports]

  faiss.omp_set_num_threads(1)
  index = faiss.IndexFlatIP(bank.shape[1])
  index.add(_unit(bank))
  return index.search(_unit(queries), NEIGHBOURS)


def sklearn_brute(bank: np.ndarray, queries: np.ndarray) -> object:
  from sklearn.neighbors import NearestNeighbors

  index = NearestNeighbors(n_neighbors=NEIGHBOURS, metric='cosine')
  return index.fit(bank).kneighbors(queries)


PEERS: dict[str, Search] = {
  'torch': torch_topk,
  'faiss': faiss_flat,
  'sklearn': sklearn_brute,
}


def _unit(x: np.ndarray) -> np.ndarray:
  return x / np.linalg.norm(x, axis=1, keepdims=True)


def rows(size: tuple[int, int, int], rounds: int) -> list[dict[str, object]]:
  """Measures all in turns, after one call that compiles."""
  num_queries, num_bank, dim = size
  rng = np.random.default_rng(0)
  bank = rng.standard_normal((num_bank, dim), np.float32)
  queries = rng.standard_normal((num_queries, dim), np.float32)
  peers = {n: f for n, f in PEERS.items() if importlib.util.find_spec(n)}
  searches = {'ours': ours, **peers}
  calls = {
    name: functools.partial(search, bank, queries)
    for name, search in searches.items()
  }
  times = turns.processor_seconds(calls, rounds)
  middle = {name: statistics.median(t) for name, t in times.items()}
  return [
    {
      'name': f'{num_queries} x {num_bank} x {dim}',
      'ours': round(middle['ours'], 3),
      'theirs': round(middle[peer], 3),
      'unit': 's of CPU',
      'ratio': round(middle[peer] / middle['ours'], 2),
      'peer': peer,
    }
    for peer in peers
  ]


if __name__ == '__main__':
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--rounds', type=int, default=5)
  parser.add_argument('--out', type=pathlib.Path, help='file to append rows to')
  arguments = parser.parse_args()
  for one_size in SIZES:
    for row in rows(one_size, arguments.rounds):
      print(json.dumps(row), flush=True)
      if arguments.out:
        with arguments.out.open('a') as file:
          file.write(json.dumps(row) + '\n')
