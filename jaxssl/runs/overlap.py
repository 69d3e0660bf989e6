"""Which records two splits share, or training has seen."""

from collections.abc import Mapping
import logging
from typing import Any

from jaxssl import build
from jaxssl.data.source import Source
from jaxssl.errors import UserError
from jaxssl.runs.sources import data_place
from jaxssl.train.workdir import Workdir

_log = logging.getLogger(__name__)


def num_shared(first: Source, second: Source) -> int | None:
  """Returns how many records of the second source the first one has, by name.

  The name of a record is its file, or its source, split and number: see
  `source.Source.describe`. None where a name says too little: of a slice of a
  TFDS split (`train[:10%]`).
  """
  if first.identity == second.identity:
    return second.num_examples
  if any(source.name.endswith(']') for source in (first, second)):
    return None
  return len(_names(first) & _names(second))


def num_trained_on(
  workdir: Workdir, section: Mapping[str, Any], source: Source
) -> int | None:
  """Returns how many records of a source the encoder was trained on.

  Args:
    workdir: the run.
    section: the section `data` of the source.
    source: what it is evaluated on.

  Returns:
    None where that cannot be told: the weights are imported, the pictures of
    the run are not there any more, or they were cut from others.
  """
  if not workdir.config_path.exists():
    return None
  config = workdir.read_config()
  if not config['data'].get('name') or 'train' not in config:
    return None
  if data_place(config['data']) != data_place(section):
    return 0 if 'path' in config['data'] else None
  try:
    return num_shared(build.build_source(config), source)
  except UserError:
    return None


def warn(*, shared: int | None, trained_on: int | None, num_test: int) -> None:
  """Says in the log what a number is worth less for.

  Args:
    shared: test pictures that are training pictures of the evaluation; None:
      unknown.
    trained_on: test pictures that the encoder was trained on; None: unknown.
    num_test: number of test pictures.
  """
  if shared:
    _log.warning(
      '%d of the %d test pictures are training pictures of the evaluation too: '
      'they find themselves, so the numbers say little; give a --test_split '
      'apart from --train_split',
      shared,
      num_test,
    )
  if trained_on:
    _log.warning(
      'the encoder was trained on %d of the %d test pictures (without their '
      'labels); what it does with new ones these numbers do not say',
      trained_on,
      num_test,
    )


def _names(source: Source) -> set[str]:
  return {source.describe(i) for i in range(source.num_examples)}
