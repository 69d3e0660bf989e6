"""`jaxssl eval shift`: a classifier on sets of another distribution."""

import argparse
from collections.abc import Mapping, Sequence
import json
import logging
import pathlib
from typing import Any

from jaxssl import data, defaults
from jaxssl.commands import classifiers, datasets, evaluate_pairs
from jaxssl.errors import UserError
from jaxssl.evals import features as features_lib
from jaxssl.evals import protocols, shift
from jaxssl.evals.effective_robustness import effective_robustness
from jaxssl.pictures.shift import shift_plot
from jaxssl.train.workdir import Workdir

PROTOCOL = 'shift'
_log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the arguments that only this protocol has."""
  parser.add_argument(
    '--shifted',
    nargs='+',
    metavar='NAME=DATA',
    help='shift, wise_ft: sets of another distribution, each a TFDS name, a '
    'folder or a file, with :SPLIT behind it if that is not test',
  )
  parser.add_argument(
    '--class_map',
    help='shift, wise_ft: JSON file, class of a shifted set -> class of the '
    'data, or null; default: classes of the same name',
  )
  parser.add_argument(
    '--baseline',
    help='shift: JSON file, NAME -> [[accuracy, accuracy under shift], ...] of '
    'other models, fractions; adds effective robustness',
  )


def run(arguments: argparse.Namespace, overrides: Sequence[str]) -> int:
  """Prints a table, writes `results/shift-v1-<data>.json` and a plot."""
  sets = named_sets(arguments.shifted, PROTOCOL)
  mapped = class_map(arguments.class_map)
  baselines = _baselines(arguments.baseline, sets)
  section = evaluate_pairs.data_section(arguments, Workdir(arguments.workdir))
  section = datasets.with_overrides(section, overrides)
  sources = {
    name: open_set(arguments, text, section) for name, text in sets.items()
  }
  model = classifiers.make_classifier(arguments, overrides)
  protocol = shift.Shift(
    shifted=sets, class_map=mapped, classifier=model.settings
  )

  def features(source):
    batches = datasets.batches(source, model.exported, limit=arguments.limit)
    return features_lib.extract(
      model.encode, batches, class_names=source.class_names
    )

  metrics = protocol.run(
    model.judge,
    features(model.source),
    {name: features(source) for name, source in sources.items()},
  )
  found = shift.robustness(metrics, baselines)
  metrics |= {f'{k}_effective_robustness': v for k, v in found.items()}
  workdir = Workdir(arguments.workdir).path
  path = protocols.write_result(
    workdir,
    protocol,
    model.name,
    metrics,
    config_hash=model.exported.config_hash,
    step=model.exported.step,
    seed=model.seed,
  )
  picture = workdir / 'pictures' / 'shift.png'
  picture.parent.mkdir(exist_ok=True)
  points = {
    name: (metrics[f'{name}_reference'], metrics[name]) for name in sets
  }
  shift_plot(points, baselines, picture)
  _log.info('wrote %s and %s', path, picture)
  print(protocols.format_table(_rows(metrics, sets, found), title='top-1 %'))
  return 0


def _rows(
  metrics: Mapping[str, float], sets: Mapping[str, str], found: Mapping
) -> dict[str, dict[str, float]]:
  rows: dict[str, dict[str, float]] = {}
  for name in sets:
    reference = metrics[f'{name}_reference']
    rows[name] = {
      'without shift': reference,
      'under shift': metrics[name],
      'difference': metrics[name] - reference,
    }
    if name in found:
      rows[name]['effective robustness'] = found[name]
  return rows


def named_sets(texts: Sequence[str] | None, protocol: str) -> dict[str, str]:
  """Returns name -> `DATA[:SPLIT]` of `--shifted`."""
  if not texts:
    raise UserError(f'{protocol} needs --shifted NAME=DATA, at least one')
  sets: dict[str, str] = {}
  for text in texts:
    name, equals, value = text.partition('=')
    if not (name and equals and value):
      raise UserError(
        f'--shifted takes NAME=DATA, for example v2=imagenet_v2; got {text!r}'
      )
    if name in sets:
      raise UserError(f'--shifted names {name!r} twice')
    sets[name] = value
  return sets


def open_set(
  arguments: argparse.Namespace, text: str, reference: Mapping[str, Any]
) -> Any:
  """Opens `DATA` or `DATA:SPLIT`; of a file of pairs all without a split.

  Args:
    arguments: of the command.
    text: what is opened.
    reference: section `data` of the images without shift; a file of the same
      kind is read as that one is (captions, label).
  """
  name, colon, split = text.rpartition(':')
  if not colon:
    is_file = data.pair_source(text) is not None
    name, split = text, 'all' if is_file else 'test'
  section = {**defaults.data_section(name), 'split': split}
  if data.pair_source(name) and section['name'] == reference['name']:
    section = {**reference, **section}
  if arguments.data_dir and section['name'] not in data.SOURCES:
    section['data_dir'] = arguments.data_dir
  return labelled(data.make_source(**section))


def labelled(source: Any) -> Any:
  """Returns the source, if it has labels."""
  if source.class_names is None:
    raise UserError(
      f'{source.name} has no labels, so nothing is right or wrong'
    )
  return source


def class_map(path: str | None) -> dict[str, str | None] | None:
  """Reads `--class_map`."""
  if path is None:
    return None
  found = _json(path, '--class_map')
  good = isinstance(found, dict) and all(
    isinstance(value, str | None) for value in found.values()
  )
  if not good:
    raise UserError(
      f'--class_map {path} must be one JSON object of names, '
      '{"class of the set": "class of the data", "another": null}'
    )
  return found


def _baselines(
  path: str | None, sets: Mapping[str, str]
) -> dict[str, list[tuple[float, float]]]:
  if path is None:
    return {}
  found = _json(path, '--baseline')
  try:
    points = {
      name: [(float(x), float(y)) for x, y in values]
      for name, values in found.items()
    }
  except (AttributeError, TypeError, ValueError) as error:
    raise UserError(
      f'--baseline {path} must be one JSON object, '
      '{"name of a set": [[0.76, 0.63], [0.69, 0.56]]}'
    ) from error
  for name, values in points.items():
    if name not in sets:
      raise UserError(
        f'--baseline {path} names {name!r}, which is none of --shifted'
      )
    # Refuses what gives no line now, not after the work.
    effective_robustness(
      0.5,
      0.5,
      baseline=[x for x, _ in values],
      baseline_shifted=[y for _, y in values],
    )
  return points


def _json(path: str, flag: str) -> Any:
  try:
    return json.loads(pathlib.Path(path).read_text(encoding='utf-8'))
  except FileNotFoundError as error:
    raise UserError(f'{flag}: file {path!r} does not exist') from error
  except ValueError as error:
    raise UserError(f'{flag}: {path} is no JSON file: {error}') from error
