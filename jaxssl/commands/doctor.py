"""`jaxssl doctor`: what a data set holds, before an hour of training."""

import argparse
from collections.abc import Mapping, Sequence
import json
import logging
import pathlib
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress

from jaxssl import atomic_file, build, data, defaults
from jaxssl import config as config_lib
from jaxssl.arguments import data_choice, targets
from jaxssl.augment.bands import Bands
from jaxssl.config import schema
from jaxssl.data import survey as survey_lib
from jaxssl.data.concerns import concerns
from jaxssl.data.source import Source
from jaxssl.data.survey import Survey
from jaxssl.errors import UserError
from jaxssl.evals.table import aligned
from jaxssl.pictures import grid
from jaxssl.pictures.samples import samples
from jaxssl.printable import printable
from jaxssl.runs import channel_facts
from jaxssl.train.workdir import Workdir

_log = logging.getLogger(__name__)
_SHOWN_CLASSES = 40


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the arguments of the command."""
  parser.add_argument(
    'folder',
    nargs='*',
    action=data_choice.Names,
    metavar='DATA',
    help='photos, digits, a TFDS name, folders or files of pictures or pairs; '
    '--data is the same',
  )
  parser.add_argument(
    '--config', help='the data of this Python file with get_config() instead'
  )
  parser.add_argument('--workdir', help='the data of this run instead')
  data_choice.add(parser)
  parser.add_argument('--train_split', help='default: train')
  parser.add_argument('--test_split', help='default: test')
  parser.add_argument('--out', help='PNG file for pictures of each class')
  parser.add_argument('--json', help='JSON file for the figures')


def run(arguments: argparse.Namespace, overrides: Sequence[str]) -> int:
  """Prints what both splits hold and what deserves a look."""
  out, figures = (
    path and pathlib.Path(path) for path in (arguments.out, arguments.json)
  )
  if out:
    targets.check_file(out, suffix='.png')
  if figures:
    targets.check_file(figures, suffix='.json', flag='--json')
  if arguments.limit is not None and arguments.limit < 1:
    raise UserError(f'--limit is {arguments.limit}; it must be at least 1')
  sources, missing = _sources(*_sections(arguments, overrides))
  channels = channel_facts.look(sources['train'], _inputs(arguments))
  splits = {
    name: _read(name, source, channels and channels.bands, arguments.limit)
    for name, source in sources.items()
  }
  facts = {name: _facts(survey) for name, survey in splits.items()}
  if channels is not None:
    facts['train']['channels'] = channels.as_json()
  found = [*missing, *concerns(splits['train'], splits.get('test'))]
  _print(facts, found)
  for line in channels.lines() if channels else ():
    print(line)
  if out:
    out.parent.mkdir(parents=True, exist_ok=True)
    grid.write_png(samples(splits), out)
    _log.info('wrote %s', out)
  if figures:
    text = json.dumps({**facts, 'concerns': found}, indent=2)
    atomic_file.write_text(figures, text + '\n')
    _log.info('wrote %s', figures)
  return 0


def _sections(
  arguments: argparse.Namespace, overrides: Sequence[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
  """Returns the section `data` of the training and of the test split."""
  named = arguments.folder or arguments.data
  given = (
    arguments.folder,
    arguments.data,
    arguments.config,
    arguments.workdir,
  )
  if sum(map(bool, given)) != 1:
    raise UserError('give one of DATA, --config FILE and --workdir DIR')
  if named:
    train = defaults.data_section(named)
    test, test_split = {**train}, 'test'
  else:
    config = _config(arguments)
    train, test = config['data'], build.eval_data_section(config)
    test_split = config['eval']['split']
  changes = {
    **data_choice.of_places(arguments),
    **data_choice.changes(overrides),
  }
  if arguments.data_dir:
    changes['data_dir'] = arguments.data_dir
  train, test = {**train, **changes}, {**test, **changes}
  if arguments.train_split:
    train['split'] = arguments.train_split
  test['split'] = arguments.test_split or test_split
  return train, test


def _config(arguments: argparse.Namespace) -> config_lib.Config:
  return schema.complete(
    config_lib.load_file(arguments.config)
    if arguments.config
    else Workdir(arguments.workdir).read_config()
  )


def _inputs(arguments: argparse.Namespace) -> dict[str, Any]:
  """Returns section `input`, where there is a config."""
  has_config = arguments.config or arguments.workdir
  return _config(arguments)['input'] if has_config else {}


def _sources(
  train: dict[str, Any], test: dict[str, Any]
) -> tuple[dict[str, Source], list[str]]:
  """Returns the splits that are there, and what is wrong with the other."""
  sources = {'train': data.make_source(**train)}
  try:
    sources['test'] = data.make_source(**test)
  except UserError as error:
    return sources, [f'no test split, which an evaluation needs: {error}']
  return sources, []


def _read(
  name: str, source: Source, bands: Bands | None, limit: int | None
) -> Survey:
  console = Console(stderr=True)
  with Progress(
    console=console, transient=True, disable=not console.is_terminal
  ) as bar:
    task = bar.add_task(name, total=None)
    return survey_lib.read(
      source,
      bands=bands,
      limit=limit,
      progress=lambda done, total: bar.update(
        task, completed=done, total=total
      ),
    )


def _facts(survey: Survey) -> dict[str, Any]:
  """Returns the figures of a split, as JSON has them."""
  source = survey.source
  known = survey.size[(survey.size > 0).all(axis=1)]
  facts = {
    'source': source.name,
    'records': source.num_examples,
    'read': len(survey.index),
    'unreadable': survey.reasons,
    'left_out': dict(getattr(source, 'skipped', {})),
    'bytes': int(survey.num_bytes.sum()),
    'formats': survey.formats,
    'height': _spread(known[:, 0]),
    'width': _spread(known[:, 1]),
    'copies': len(survey_lib.copies(survey)),
  }
  if source.captions is not None:
    arrays = source.captions.arrays
    facts['captions'] = int(arrays['count'].sum())
    first, last = arrays['first'], arrays['first'] + arrays['count']
    sizes = arrays['bounds'][last] - arrays['bounds'][first]
    facts['caption_bytes'] = _spread(sizes)
  if source.class_names is not None:
    counts = survey.class_counts.tolist()
    facts['unlabelled'] = survey.num_unlabelled
    facts['classes'] = dict(zip(source.class_names, counts, strict=False))
  return facts


def _spread(values: np.ndarray) -> list[float] | None:
  """Returns the smallest value, the median and the largest one."""
  if not values.size:
    return None
  return [float(f(values)) for f in (np.min, np.median, np.max)]


# Figure -> how it is shown.
_SHOWN = {
  'records': '{:,}'.format,
  'unreadable': lambda reasons: f'{len(reasons):,}',
  'left_out': lambda faults: f'{sum(faults.values()):,}',
  'copies': '{:,}'.format,
  'bytes': lambda count: f'{count / 2**20:,.1f} MiB',
  'formats': lambda formats: ', '.join(formats) or '-',
  'height': lambda spread: _range(spread),
  'width': lambda spread: _range(spread),
  'captions': '{:,}'.format,
  'caption_bytes': lambda spread: _range(spread),
  'unlabelled': '{:,}'.format,
  'classes': lambda counts: f'{sum(map(bool, counts.values())):,}',
}


def _range(spread: list[float] | None) -> str:
  """Shows the smallest value, the median and the largest one."""
  return '-' if spread is None else ' / '.join(f'{v:,g}' for v in spread)


def _print(facts: Mapping[str, Mapping[str, Any]], found: list[str]) -> None:
  rows = [['', *facts]]
  left_out = [f['left_out'] for f in facts.values()]
  for key, show in _SHOWN.items():
    values = [show(f[key]) if key in f else '-' for f in facts.values()]
    if key == 'left_out' and left_out[1:] == left_out[:1]:
      values[1] = 'the same'  # files, as they are of neither split
    if any(key in f for f in facts.values()):
      rows.append([key.replace('_', ' '), *values])
  print(aligned(rows))
  print('height, width, caption bytes: smallest / median / largest')
  classes = [f.get('classes', {}) for f in facts.values()]
  names = list(dict.fromkeys(name for counts in classes for name in counts))
  if names:
    counts = [[n, *(str(c.get(n, 0)) for c in classes)] for n in names]
    print()
    print(aligned([['class', *facts], *counts[:_SHOWN_CLASSES]]))
  if len(names) > _SHOWN_CLASSES:
    print(f'... and {len(names) - _SHOWN_CLASSES} more; --json has all')
  print()
  # Most are the same in both splits.
  faults = {fault: count for own in left_out for fault, count in own.items()}
  for fault, count in faults.items():
    if count:
      print(f'left out: {printable(fault)}: {count}')
  print('Worth a look:' if found else 'Nothing strange was found.')
  for number, line in enumerate(found, 1):
    print(f'{number}. {printable(line)}')
