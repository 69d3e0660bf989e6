"""Compiled programs, kept from one run of the tests to the next.

JAX's own cache finds a program by a hash of what is compiled, of the versions
of JAX and XLA, and of the XLA flags: a hit is the program that would have been
compiled. A program for the CPU is for one kind of CPU, so each kind has a
folder of its own.
"""

import hashlib
import os
import pathlib
import platform
import time

CHECKOUT = pathlib.Path(__file__).resolve().parent.parent
FOLDER = 'JAXSSL_TEST_CACHE'
DAYS = 30


def folder(checkout: pathlib.Path = CHECKOUT) -> pathlib.Path | None:
  """Where programs for this CPU are kept; None if they are not.

  Args:
    checkout: the repository, whose folder `.cache/tests` is taken unless
      `JAXSSL_TEST_CACHE` names another. An empty `JAXSSL_TEST_CACHE` switches
      the cache off.
  """
  base = os.environ.get(FOLDER, str(checkout / '.cache' / 'tests'))
  return pathlib.Path(base).absolute() / _this_cpu() if base else None


def settings(kept: pathlib.Path | None) -> dict[str, str]:
  """Environment variables that tell JAX, also in processes that tests start.

  Args:
    kept: the folder, or None for no cache.
  """
  if kept is None:
    return {'JAX_ENABLE_COMPILATION_CACHE': 'false'}
  return {
    FOLDER: str(kept.parent),  # for tests that run tests
    'JAX_ENABLE_COMPILATION_CACHE': 'true',
    'JAX_COMPILATION_CACHE_DIR': str(kept),
    # What compiles faster is hardly read faster, and there is much of it.
    'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0.05',
    'JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES': '-1',
  }


def prepare(kept: pathlib.Path) -> None:
  """Makes the folder and deletes programs written more than 30 days ago."""
  kept.mkdir(mode=0o700, parents=True, exist_ok=True)
  oldest = time.time() - DAYS * 24 * 3600
  for program in kept.glob('*-cache'):
    if program.stat().st_mtime < oldest:
      program.unlink(missing_ok=True)


def name_of_cpu(cpuinfo: str) -> str:
  """A name for a kind of CPU: its model and its instructions, hashed.

  Args:
    cpuinfo: the content of `/proc/cpuinfo`; empty where there is none.
  """
  first = cpuinfo.split('\n\n')[0].splitlines()
  kinds = ('model name', 'flags', 'Features', 'CPU part')
  text = '\n'.join(line for line in first if line.startswith(kinds))
  text = f'{platform.system()} {platform.processor()} {text}'
  return (
    f'{platform.machine()}-{hashlib.sha256(text.encode()).hexdigest()[:12]}'
  )


def _this_cpu() -> str:
  path = pathlib.Path('/proc/cpuinfo')
  return name_of_cpu(path.read_text() if path.exists() else '')
