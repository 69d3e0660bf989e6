"""Arguments of commands that choose data."""

import argparse
from collections.abc import Sequence
from typing import Any

from jaxssl import config as config_lib
from jaxssl.data import hold_out
from jaxssl.errors import UserError
from jaxssl.runs.sources import DataChoice


class Names(argparse.Action):
  """Keeps one name as it is, and several as a list."""

  def __call__(
    self,
    parser: argparse.ArgumentParser,
    namespace: argparse.Namespace,
    values: Any,
    option_string: str | None = None,
  ) -> None:
    """Sets the value; `--data A --data B` would silently be B alone."""
    if getattr(namespace, self.dest, None) is not None:
      parser.error(f'{option_string} is given twice; name all behind one')
    value = values[0] if len(values) == 1 else values or None
    setattr(namespace, self.dest, value)


def add(parser: argparse.ArgumentParser) -> None:
  """Adds the arguments: the same ones for every command that looks at data."""
  parser.add_argument(
    '--data',
    nargs='+',
    action=Names,
    help='photos, digits, a TFDS name, folders, or a .txt list, a pattern or '
    'files of pictures; default: that of the run',
  )
  add_places(parser)
  parser.add_argument(
    '--limit', type=int, help='at most so many images of each split'
  )


def add_places(parser: argparse.ArgumentParser) -> None:
  """Adds what says where data lie, and what of them is held out."""
  parser.add_argument('--data_dir', help='where TFDS data sets are prepared')
  parser.add_argument(
    '--test_fraction',
    type=float,
    help='share that is held out for test, of data without splits; default: '
    f'that of the run, or {hold_out.SHARE} of folders and files',
  )


def choice(
  arguments: argparse.Namespace, overrides: Sequence[str] = ()
) -> DataChoice:
  """Returns the data that the arguments mean.

  Args:
    arguments: what a parser with these arguments has read.
    overrides: `--config.data.key=value`.
  """
  return DataChoice(
    data=arguments.data,
    data_dir=arguments.data_dir,
    limit=arguments.limit,
    changes={**of_places(arguments), **changes(overrides)},
  )


def of_places(arguments: argparse.Namespace) -> dict[str, object]:
  """Returns the keys of a section `data` that plain arguments change."""
  if arguments.test_fraction is None:
    return {}
  return {'test_fraction': arguments.test_fraction}


def changes(overrides: Sequence[str]) -> dict[str, Any]:
  """Returns the keys of the section `data` that `--config.data.key` changes.

  Raises:
    UserError: for an override of anything else.
  """
  found = {}
  for key, value in config_lib.parse_overrides(overrides).items():
    if not key.startswith('data.'):
      raise UserError(
        f'this command takes --config.data.KEY=VALUE, not --config.{key}'
      )
    found[key.removeprefix('data.')] = value
  return found
