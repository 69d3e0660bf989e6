"""Data for commands that look at an encoder."""

import argparse
from collections.abc import Iterator, Sequence
import pathlib
from typing import Any

from jaxssl import build, data, defaults
from jaxssl import config as config_lib
from jaxssl.errors import UserError
from jaxssl.train.workdir import Workdir
from jaxssl.weights.exported import ExportedEncoder


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the arguments that choose data."""
  parser.add_argument(
    '--data',
    help='photos, digits, a TFDS name or a folder; default: that of the run',
  )
  parser.add_argument('--data_dir', help='where TFDS data sets are prepared')
  parser.add_argument(
    '--limit', type=int, help='at most so many images of each split'
  )


def section(arguments: argparse.Namespace, workdir: Workdir) -> dict[str, Any]:
  """Returns the section `data` that the arguments mean.

  Raises:
    UserError: if there is no `--data` and the workdir has no run.
  """
  if arguments.limit is not None and arguments.limit < 1:
    raise UserError(f'--limit is {arguments.limit}; it must be at least 1')
  if arguments.data:
    chosen = defaults.data_section(arguments.data)
  elif workdir.config_path.exists():
    chosen = build.eval_data_section(workdir.read_config())
  else:
    chosen = {}
  if not chosen:
    raise UserError(
      f'{str(workdir.path)!r} holds no training run; give --data NAME_OR_FOLDER'
    )
  if arguments.data_dir:
    if chosen['name'] in data.SOURCES:
      raise UserError(
        f'--data_dir is for TFDS data sets; {chosen["name"]!r} takes none'
      )
    chosen['data_dir'] = arguments.data_dir
  return chosen


def with_overrides(
  chosen: dict[str, Any], overrides: Sequence[str]
) -> dict[str, Any]:
  """Puts `--config.data.key=value` into the section `data`.

  Raises:
    UserError: for an override of anything else.
  """
  changes = {}
  for key, value in config_lib.parse_overrides(overrides).items():
    if not key.startswith('data.'):
      raise UserError(
        f'this command takes --config.data.KEY=VALUE, not --config.{key}'
      )
    changes[key.removeprefix('data.')] = value
  return {**chosen, **changes}


def data_name(chosen: dict[str, Any]) -> str:
  """Returns a short name for files: of the source, or of its folder."""
  return pathlib.Path(str(chosen.get('path') or chosen['name'])).name


def batches(
  source: Any, exported: ExportedEncoder, *, limit: int | None
) -> Iterator[dict[str, Any]]:
  """Returns evaluation batches of pictures as the encoder wants them."""
  return data.eval_batches(
    source, batch_size=256, preprocessing=exported.preprocessing, limit=limit
  )
