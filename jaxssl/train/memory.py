"""How much memory there is, a run takes, and a batch would take.

The rule: a run is refused where its batches, or the compiled step, need more
than this machine (or container) has at all, and warned where they need more
than is free just now. Of pictures in the input pipeline this is known before
anything is made, of the step when it has been compiled, on CPUs; accelerators
refuse by themselves.
"""

from collections.abc import Generator
import contextlib
import logging
import os
import pathlib
import resource
import sys
from typing import Any

import jax

from jaxssl.errors import UserError
from jaxssl.methods.base import Batch

_log = logging.getLogger(__name__)
_GIB = 2**30
_LIMITS = (  # of a container; cgroups of version 2 and of version 1
  '/sys/fs/cgroup/memory.max',
  '/sys/fs/cgroup/memory/memory.limit_in_bytes',
)
_LESS = 'smaller --batch_size, or --config.train.micro_batches=N'


def peak_bytes() -> tuple[int, str]:
  """Returns the most bytes that were in use, and of what.

  Of the fullest local device where it counts them, else of this process on the
  host, which on CPUs holds everything.
  """
  stats = [device.memory_stats() or {} for device in jax.local_devices()]
  peaks = [s['peak_bytes_in_use'] for s in stats if 'peak_bytes_in_use' in s]
  if peaks:
    return max(peaks), 'of a device'
  # In KiB, but in bytes on macOS.
  unit = 1 if sys.platform == 'darwin' else 1024
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
  return peak, 'of this process'


def host_bytes() -> tuple[int, int]:
  """Returns how much memory this machine or container has, and how much free.

  Without swap. Where only the whole is known, it counts as free.
  """
  whole = os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
  free = _free(pathlib.Path('/proc/meminfo')) or whole
  limits = [n for path in _LIMITS if (n := _number(pathlib.Path(path)))]
  whole = min([whole, *limits])
  return whole, min(free, whole)


def check_batch(shapes: Batch, prefetch: int) -> None:
  """Looks whether the input pipeline can hold its batches.

  Those that are prefetched, one that is made, and one that is trained on:

    (prefetch + 2) * bytes of a batch

  Args:
    shapes: shapes of the batch of this process.
    prefetch: how many batches the pipeline holds ready.

  Raises:
    UserError: if there is less memory than that.
  """
  leaves = jax.tree.leaves(shapes)
  size = sum(leaf.size * leaf.dtype.itemsize for leaf in leaves)
  rows = leaves[0].shape[0]
  _check(
    f'{prefetch + 2} batches of {rows} rows in the input pipeline',
    (prefetch + 2) * size,
    rows,
    *host_bytes(),
  )


def check_step(found: Any, rows: int) -> None:
  """Looks whether a compiled step can run on the host's memory.

  Args:
    found: what `jax.stages.Compiled.memory_analysis` returned.
    rows: rows of the batch.

  Raises:
    UserError: if it needs more memory than there is.
  """
  if found is None or jax.default_backend() != 'cpu':
    return
  inputs = found.argument_size_in_bytes
  more = found.temp_size_in_bytes + found.output_size_in_bytes
  # Donated arguments become results in place.
  more -= found.alias_size_in_bytes
  whole, free = host_bytes()
  what = f'the step with a batch of {rows}'
  # State and batch are there already.
  _check(what, inputs + more, rows, whole, inputs + free)


@contextlib.contextmanager
def told(rows: int) -> Generator[None]:
  """Tells in one line that a device has too little memory for a step.

  Args:
    rows: rows of the batch.
  """
  try:
    yield
  except jax.errors.JaxRuntimeError as error:
    if 'RESOURCE_EXHAUSTED' not in str(error):
      raise
    reason = str(error).splitlines()[0][:200]
    raise UserError(
      f'the step with a batch of {rows} does not fit into memory ({reason}); '
      f'{_LESS}'
    ) from error


def _check(what: str, needed: int, rows: int, whole: int, free: int) -> None:
  if needed <= free:
    return
  text = (
    f'{what}: {needed / _GIB:.1f} GiB of memory, and this machine or container '
    f'has {{}}; {_LESS}'
  )
  if needed > whole:
    # The largest power of two that fits, if memory grows with the rows.
    fitting = rows * whole // needed
    most = 1 << fitting.bit_length() - 1 if fitting else 0
    hint = f' (--batch_size {most} may fit)' if 0 < most < rows else ''
    raise UserError(text.format(f'{whole / _GIB:.1f} GiB') + hint)
  _log.warning('%s', text.format(f'{free / _GIB:.1f} GiB free just now'))


def _free(path: pathlib.Path) -> int | None:
  """Returns what the kernel takes for free, buffers and caches included."""
  try:
    lines = path.read_text().splitlines()
  except OSError:
    return None
  kib = [line.split()[1] for line in lines if line.startswith('MemAvailable:')]
  return 1024 * int(kib[0]) if kib else None


def _number(path: pathlib.Path) -> int | None:
  """Returns the number in a file; None of `max`, or without the file."""
  try:
    text = path.read_text().strip()
  except OSError:
    return None
  return int(text) if text.isdigit() else None
