"""Arguments of commands that choose data."""

import argparse
from collections.abc import Sequence

from jaxssl import config as config_lib
from jaxssl.errors import UserError
from jaxssl.runs.sources import DataChoice


def add(parser: argparse.ArgumentParser) -> None:
  """Adds the arguments."""
  parser.add_argument(
    '--data',
    help='photos, digits, a TFDS name or a folder; default: that of the run',
  )
  parser.add_argument('--data_dir', help='where TFDS data sets are prepared')
  parser.add_argument(
    '--limit', type=int, help='at most so many images of each split'
  )


def choice(
  arguments: argparse.Namespace, overrides: Sequence[str] = ()
) -> DataChoice:
  """Returns the data that the arguments mean.

  Args:
    arguments: of a parser with these arguments.
    overrides: `--config.data.key=value`, for a command that takes them.
  """
  return DataChoice(
    data=arguments.data,
    data_dir=arguments.data_dir,
    limit=arguments.limit,
    changes=changes(overrides),
  )


def changes(overrides: Sequence[str]) -> dict[str, object]:
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
