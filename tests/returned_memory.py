"""Gives memory back that tests no longer need.

Compiled programs stay in JAX's caches and in those of test files, and glibc
keeps what XLA's compiler has freed. Over all tests each of two workers came to
hold more than 12 GiB.
"""

import ctypes
import gc
import pathlib
import types

import jax

_STATM = pathlib.Path('/proc/self/statm')
_PAGE, _STEP = 4096, 2**30
_after = [0]


def give_back(ended: types.ModuleType) -> None:
  """Forgets and trims if memory has grown by a GiB since the last time.

  Args:
    ended: the file of tests that share programs, the last of which has just
      run. Not while they go on: a step that must be traced once would be
      traced again.
  """
  trim = getattr(ctypes.CDLL(None), 'malloc_trim', None)
  if trim is None or not _STATM.exists():  # no Linux with glibc
    return
  if _resident() > _after[0] + _STEP:
    _forget(ended)
    trim(0)
    _after[0] = _resident()


def _forget(module: types.ModuleType) -> None:
  for value in vars(module).values():
    # What `functools.lru_cache` has made.
    if callable(clear := getattr(value, 'cache_clear', None)):
      clear()
  jax.clear_caches()
  gc.collect()


def _resident() -> int:
  return int(_STATM.read_text().split()[1]) * _PAGE
