"""What a checkpoint costs: its checksums, and the time that a run waits for it.

  python -m benchmarks.speed.checkpoints --megabytes 67 268
  python -m benchmarks.speed.checkpoints --stall 3650 --folder DIR

With `--stall` seconds are those of the clock: until `save` returns and the run
goes on, until all is written and synchronised, and for the same bytes written
to one plain file and synchronised, in turns. 3,650 MB are the weights of ViT-L
and the two moments of AdamW in float32.
"""

import argparse
import contextlib
import os
import pathlib
import statistics
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
  parser.add_argument('--stall', type=float, help='megabytes')
  parser.add_argument('--folder', help='of the disk that is written to')
  arguments = parser.parse_args()
  if arguments.stall:
    _print_stall(int(arguments.stall * 1e6), arguments.repeat, arguments.folder)
    return
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


def _print_stall(size: int, repeat: int, folder: str | None) -> None:
  state = _noise(size)
  arrays = {name: np.asarray(value) for name, value in state.items()}
  size = sum(array.nbytes for array in arrays.values())
  times = []
  for number in range(repeat):
    with tempfile.TemporaryDirectory(dir=folder) as name:
      path = pathlib.Path(name)
      plain = _write(path / 'plain', arrays)
      with contextlib.closing(Checkpoints(path / 'run')) as checkpoints:
        start = time.perf_counter()
        checkpoints.save(number + 1, state, {})
        stall = time.perf_counter() - start
        checkpoints.wait()
        whole = time.perf_counter() - start
      written = sum(
        file.stat().st_size
        for file in (path / 'run').rglob('*')
        if file.is_file()
      )
    times.append((stall, whole, plain))
    print(
      f'{size / 1e6:.0f} MB: waits {stall:.2f} s, written after {whole:.2f} s '
      f'({written / size:.2f} of the bytes); one plain file {plain:.2f} s '
      f'({size / plain / 1e9:.2f} GB/s)',
      flush=True,
    )
  stall, whole, plain = map(statistics.median, zip(*times, strict=True))
  print(
    f'medians: waits {stall:.2f} s, {stall / plain:.2f} of the plain file; '
    f'written after {whole:.2f} s, {whole / plain:.2f} of it'
  )


def _write(path: pathlib.Path, arrays: dict[str, np.ndarray]) -> float:
  """Writes one plain file and returns the seconds by the clock."""
  start = time.perf_counter()
  with path.open('wb') as file:
    for array in arrays.values():
      file.write(array.data)
    file.flush()
    os.fsync(file.fileno())
  return time.perf_counter() - start


if __name__ == '__main__':
  main()
