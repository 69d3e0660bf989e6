"""`jaxssl eval zeroshot` and `retrieval`: what images and texts share."""

import argparse
from collections.abc import Callable, Sequence
import dataclasses
import logging
from typing import Any

import numpy as np

from jaxssl import data
from jaxssl.commands import datasets, towers
from jaxssl.commands.towers import Towers
from jaxssl.errors import UserError
from jaxssl.evals import prompts, protocols, retrieval, zeroshot
from jaxssl.evals.features import Features
from jaxssl.train.workdir import Workdir

_log = logging.getLogger(__name__)
DEFAULT_TEMPLATES = 'photo'


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the arguments that only these protocols have."""
  parser.add_argument(
    '--split',
    help='zeroshot, retrieval: default: that of the run, or test; all of a '
    'file of pairs',
  )
  parser.add_argument(
    '--classes',
    help='zeroshot, finetune: file with the names of the classes, in the order '
    'of their labels, or package.module:NAME; default: those of the data',
  )
  parser.add_argument(
    '--templates',
    help=f'zeroshot: {", ".join(prompts.TEMPLATES)}, a file with one a line, '
    f'or package.module:NAME; default: {DEFAULT_TEMPLATES}; finetune: start '
    'the classifier from these texts; default: from zero',
  )


def run(arguments: argparse.Namespace, overrides: Sequence[str]) -> int:
  """Prints the metrics and writes `results/<protocol>-<data>.json`.

  Arguments of the source are given as `--config.data.label=json.group`.
  """
  _check(arguments)
  workdir = Workdir(arguments.workdir)
  section = datasets.with_overrides(data_section(arguments, workdir), overrides)
  source = data.make_source(**section)
  tasks = [PROTOCOLS[name] for name in arguments.protocol]
  for task in tasks:
    task.check(source, arguments)
  model = towers.load(workdir, step=arguments.step)
  images, index = _images(model, source, arguments.limit)
  name = datasets.data_name(section)
  for task in tasks:
    protocol, metrics = task.run(model, source, images, index, arguments)
    path = protocols.write_result(
      workdir.path,
      protocol,
      name,
      metrics,
      config_hash=model.exported.config_hash,
      step=model.exported.step,
      seed=workdir.read_config()['seed'],
    )
    _log.info('wrote %s', path)
    shown = {k: v for k, v in metrics.items() if not k.startswith('num_')}
    print(protocols.format_table({name: shown}, title=f'{protocol.name}, %'))
  return 0


def _check(arguments: argparse.Namespace) -> None:
  others = [name for name in arguments.protocol if name not in PROTOCOLS]
  if others:
    raise UserError(
      f'{others[0]} looks at images alone; run it apart from '
      f'{", ".join(PROTOCOLS)}'
    )
  for name in ('layer', 'baselines', 'set', 'test_split'):
    if getattr(arguments, name, None):
      raise UserError(f'{arguments.protocol[0]} takes no --{name}')


def data_section(
  arguments: argparse.Namespace, workdir: Workdir
) -> dict[str, Any]:
  """Returns the section `data` with its split."""
  section = datasets.section(arguments, workdir)
  if arguments.split:
    return {**section, 'split': arguments.split}
  if not arguments.data:
    return {**section, 'split': workdir.read_config()['eval']['split']}
  is_file = data.pair_source(arguments.data) is not None
  return {**section, 'split': 'all' if is_file else 'test'}


def _images(
  model: Towers, source: Any, limit: int | None
) -> tuple[Features, np.ndarray]:
  """Returns the features of the readable images, and which they are."""
  rows, labels, index = [], [], []
  for batch in datasets.batches(source, model.exported, limit=limit):
    mask = batch['mask']
    rows.append(np.asarray(model.encode_images(batch['image']))[mask])
    labels.append(batch['label'][mask])
    index.append(batch['index'][mask])
  if not sum(map(len, rows)):
    raise UserError(f'{source.name}: not one picture can be read')
  names = tuple(source.class_names or ())
  features = Features(np.concatenate(rows), np.concatenate(labels), names)
  return features, np.concatenate(index)


def class_names(source: Any, arguments: argparse.Namespace) -> tuple[str, ...]:
  """Returns the names of the classes as words."""
  if arguments.classes:
    names = prompts.load_class_names(arguments.classes)
    if source.class_names is not None and len(names) < len(source.class_names):
      raise UserError(
        f'{arguments.classes} names {len(names)} classes, but {source.name} '
        f'has {len(source.class_names)}'
      )
    return names
  return prompts.spoken(source.class_names)


@dataclasses.dataclass(frozen=True)
class _Task:
  """A protocol on a command line.

  Attributes:
    check: raises `UserError` if the data does not suit, before any work.
    run: model, source, features of images, their records -> protocol, metrics.
  """

  check: Callable[[Any, argparse.Namespace], None]
  run: Callable[..., tuple[Any, dict[str, float]]]


def check_zeroshot(source: Any, arguments: argparse.Namespace) -> None:
  """Raises `UserError` for data, classes or templates that do not suit."""
  if source.class_names is None:
    raise UserError(
      f'{source.name} has no labels, by which zero-shot classification would '
      'know what is right; give --data with labels'
    )
  class_names(source, arguments)
  prompts.load_templates(arguments.templates or DEFAULT_TEMPLATES)


def _run_zeroshot(
  model: Towers,
  source: Any,
  images: Features,
  index: np.ndarray,
  arguments: argparse.Namespace,
) -> tuple[zeroshot.ZeroShot, dict[str, float]]:
  del index
  protocol = zeroshot.ZeroShot(
    templates=prompts.load_templates(arguments.templates or DEFAULT_TEMPLATES),
    class_names=arguments.classes or 'data',
  )
  names = class_names(source, arguments)
  return protocol, protocol.run(images, names, model.encode_text)


def _check_retrieval(source: Any, arguments: argparse.Namespace) -> None:
  if source.captions is None:
    raise UserError(f'{source.name} has no captions to search for')
  for name in ('classes', 'templates'):
    if getattr(arguments, name) and 'zeroshot' not in arguments.protocol:
      raise UserError(f'retrieval takes no --{name}')


def _run_retrieval(
  model: Towers,
  source: Any,
  images: Features,
  index: np.ndarray,
  arguments: argparse.Namespace,
) -> tuple[retrieval.Retrieval, dict[str, float]]:
  del arguments
  captions = [source.captions[i] for i in index.tolist()]
  owner = np.repeat(np.arange(len(index)), [len(c) for c in captions])
  texts: Sequence[str] = [text for record in captions for text in record]
  protocol = retrieval.Retrieval()
  return protocol, protocol.run(
    images.features, model.encode_text(texts), owner
  )


# The names of the command line.
PROTOCOLS = {
  'zeroshot': _Task(check_zeroshot, _run_zeroshot),
  'retrieval': _Task(_check_retrieval, _run_retrieval),
}
