"""What the checksums of a checkpoint cost, as a share of its save.

python -m benchmarks.speed.checkpoints --megabytes 67 268
"""

import argparse
import contextlib
import pathlib
import tempfile
import time

import jax
import jax.numpy as jnp
import numpy as np

from jaxssl import checksums
from jaxssl.train.checkpoint import Checkpoints

_ARRAYS = 16


def main() -> None:
  """Prints processor seconds, the smallest of some repetitions."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--megabytes', type=float, nargs='+', default=[67, 268])
  parser.add_argument('--repeat', type=int, default=5)
  arguments = parser.parse_args()
  for megabytes in arguments.megabytes:
    state = _noise(int(megabytes * 1e6))
    sums = min(
      _seconds(checksums.of_arrays, state) for _ in range(arguments.repeat)
    )
    save = min(_saves(state, arguments.repeat))
    print(
      f'{megabytes:.0f} MB: checksums {sums:.4f} s of a save of {save:.3f} s, '
      f'{sums / save:.1%}'
    )


def _noise(size: int) -> dict[str, jax.Array]:
  random = np.random.default_rng(0)
  rows = size // (4 * _ARRAYS * 1024)
  return {
    f'array{i}': jnp.asarray(random.normal(size=(rows, 1024)), jnp.float32)
    for i in range(_ARRAYS)
  }


def _seconds(work, *arguments) -> float:
  start = time.process_time()
  work(*arguments)
  return time.process_time() - start


def _saves(state: dict[str, jax.Array], repeat: int) -> list[float]:
  """Returns the processor seconds of whole saves, checksums included."""

  def save(step):
    checkpoints.save(step, state, {})
    checkpoints.wait()

  with (
    tempfile.TemporaryDirectory() as folder,
    contextlib.closing(Checkpoints(pathlib.Path(folder))) as checkpoints,
  ):
    return [_seconds(save, step) for step in range(1, repeat + 1)]


if __name__ == '__main__':
  main()
