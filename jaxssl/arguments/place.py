"""The workdir of commands that take nothing else by position."""

import argparse
from collections.abc import Sequence
from typing import Any

from jaxssl.errors import UserError


def add(parser: argparse.ArgumentParser) -> None:
  """Adds the folder of a run: `DIR`, or `--workdir DIR` as in all commands."""
  parser.add_argument(
    'workdir',
    nargs='?',
    action=_Folder,
    default=argparse.SUPPRESS,
    metavar='DIR',
    help='folder of the run; --workdir DIR is the same',
  )
  parser.add_argument(
    '--workdir', action=_Folder, default=None, help=argparse.SUPPRESS
  )


def of(arguments: argparse.Namespace) -> str:
  """Returns the folder that was given.

  Raises:
    UserError: if there is none.
  """
  if arguments.workdir is None:
    raise UserError('give the folder of the run, DIR or --workdir DIR')
  return arguments.workdir


class _Folder(argparse.Action):
  """Keeps a folder, and refuses a second one."""

  def __call__(
    self,
    parser: argparse.ArgumentParser,
    namespace: argparse.Namespace,
    values: str | Sequence[Any] | None,
    option_string: str | None = None,
  ) -> None:
    del option_string
    before = getattr(namespace, self.dest, None)
    if before not in (None, values):
      parser.error(f'two folders are given, {before!r} and {values!r}')
    setattr(namespace, self.dest, values)
