"""Memory in pages of 2 MiB for what a command computes on a CPU.

XLA asks the C library for the temporary arrays of every call anew, and the
kernel then hands them out in pages of 4 KiB, one fault each. On systems that
give larger pages to those that ask (Ubuntu's default), a step of a ViT-Ti
takes 1.4 times as long for it (benchmarks/results/step.md). The GNU C library
asks for them if it was told so before the program started.
"""

from collections.abc import Mapping
import contextlib
import os
import pathlib
import sys

# Commands that compute; the others end before a restart would pay.
COMMANDS = (
  'train',
  'adapt',
  'eval',
  'embed',
  'reproduce',
  'visualize',
  'bench',
  'search',
)
VARIABLE = 'GLIBC_TUNABLES'
_TUNABLE = 'glibc.malloc.hugetlb'
_SINCE = 2, 35
# What the kernel does: one of always, madvise, never is in brackets.
_KERNEL = pathlib.Path('/sys/kernel/mm/transparent_hugepage/enabled')


def restart(
  command: str | None, environ: Mapping[str, str] = os.environ
) -> None:
  """Starts this program again, in place, if it then gets larger pages.

  Nothing happens where that is of no use: for other commands, without the GNU C
  library from 2.35 on, where the kernel gives them to all or to none, or where
  the environment says something about them (`glibc.malloc.hugetlb=0` is a no).

  Args:
    command: its name, key of `cli.COMMANDS`; None if there is none.
    environ: environment of the process.
  """
  if command not in COMMANDS or not sys.executable or not _gives_to_askers():
    return
  tunables = with_huge_pages(environ.get(VARIABLE, ''))
  if tunables is None or _library() < _SINCE:
    return
  # Where it cannot start again it goes on as it is.
  with contextlib.suppress(OSError):
    os.execve(
      sys.executable,
      [sys.executable, *sys.orig_argv[1:]],
      {**environ, VARIABLE: tunables},
    )


def with_huge_pages(tunables: str) -> str | None:
  """Returns the variable with large pages; None if it has them or refuses.

  Args:
    tunables: `NAME=VALUE`, separated by colons; may be empty.
  """
  if _TUNABLE in tunables:
    return None
  return ':'.join([*filter(None, [tunables]), f'{_TUNABLE}=1'])


def _gives_to_askers() -> bool:
  with contextlib.suppress(OSError):
    return '[madvise]' in _KERNEL.read_text()
  return False


def _library() -> tuple[int, ...]:
  """Returns the version of the GNU C library, empty without it."""
  name = 'CS_GNU_LIBC_VERSION'
  if name not in getattr(os, 'confstr_names', ()):
    return ()
  version = (os.confstr(name) or '').removeprefix('glibc ')
  return tuple(int(part) for part in version.split('.') if part.isdigit())
