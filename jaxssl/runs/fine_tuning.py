"""Fine-tunings in a workdir: one folder per settings, encoder and data."""

import contextlib
import dataclasses
import json
import logging
from typing import Any

import jax

from jaxssl import atomic_file
from jaxssl import config as config_lib
from jaxssl.data.source import Source, fingerprint
from jaxssl.errors import UserError
from jaxssl.evals.finetune import FineTune
from jaxssl.paths import Path
from jaxssl.train.checkpoint import Checkpoints
from jaxssl.train.loop import Job, train
from jaxssl.train.state import TrainState
from jaxssl.train.workdir import Workdir
from jaxssl.train.writers import JsonLines
from jaxssl.weights.exported import (
  ExportedEncoder,
  load_encoder,
  save_encoder,
)

# What a fine-tuning from texts started from, in its folder.
_START = 'start'
_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Folder:
  """The folder of a fine-tuning; a `needs.Place`.

  Attributes:
    workdir: the folder, a workdir for the other evaluations once it is done.
    what: settings, encoder and data; written beside the checkpoints.
  """

  workdir: Workdir
  what: dict[str, Any]

  def save_start(self, exported: ExportedEncoder) -> None:
    """See `needs.Place`."""
    save_encoder(self.workdir.path / _START, exported)

  def train(self, job: Job) -> TrainState:
    """See `needs.Place`."""
    atomic_file.write_text(
      self.workdir.path / 'finetune.json',
      json.dumps(self.what, indent=2) + '\n',
    )
    checkpoints = Checkpoints(self.workdir.checkpoints, keep=2)
    with contextlib.closing(checkpoints):
      return train(
        job,
        checkpoints=checkpoints,
        make_writers=lambda first: [
          JsonLines(self.workdir.metrics_path, first_step=first)
        ],
      )

  def save(self, exported: ExportedEncoder) -> None:
    """See `needs.Place`."""
    _log.info('wrote %s', save_encoder(self.workdir.export, exported))


def folder_of(
  parent: Path,
  evaluation: FineTune,
  exported: ExportedEncoder,
  source: Source,
) -> Folder:
  """Returns the folder of a fine-tuning, named after all that it depends on.

  Args:
    parent: where fine-tunings of a run are.
    evaluation: the protocol with its settings.
    exported: what it starts from.
    source: training images.
  """
  what = {
    'settings': dataclasses.asdict(evaluation),
    'encoder': exported.config_hash,
    'step': exported.step,
    'preprocessing': dataclasses.asdict(exported.preprocessing),
    'data': source.fingerprint,
    # The columns of the classifier, which other data may name in another order.
    'classes': list(source.class_names or ()),
  }
  if evaluation.templates:
    what['classifier'] = fingerprint(
      *jax.tree.leaves(exported.towers['classifier'])
    )
  name = f'{evaluation.name}-{config_lib.config_hash(what)}'
  return Folder(workdir=Workdir(parent / name), what=what)


def find(parent: Path, given: str | None) -> Path:
  """Returns the folder of a finished fine-tuning that began with texts.

  Args:
    parent: where fine-tunings of a run are.
    given: name of the folder; None for the only one.

  Raises:
    UserError: if there is none, or there are several to choose from.
  """
  if given is not None:
    folder = parent / Workdir(given).path.name
    if not (folder / _START).is_dir() or not (folder / 'export').is_dir():
      raise UserError(
        f'{str(folder)!r} is no finished fine-tuning that began with '
        '--templates'
      )
    return folder
  found = [
    path.parent
    for path in sorted(parent.glob(f'*/{_START}'))
    if (path.parent / 'export').is_dir()
  ]
  if not found:
    raise UserError(
      f'no fine-tuning in {str(parent)!r} that began with texts; run `jaxssl '
      'eval finetune --templates photo` first'
    )
  if len(found) > 1:
    names = ', '.join(path.name for path in found)
    raise UserError(f'give one of several fine-tunings to --finetuned: {names}')
  return found[0]


def load_ends(folder: Path) -> tuple[ExportedEncoder, ExportedEncoder]:
  """Returns encoder and classifier before and after a fine-tuning."""
  return load_encoder(folder / _START), load_encoder(folder / 'export')


def classes_of(folder: Path, source: Source) -> tuple[str, ...]:
  """Returns what the columns of a fine-tuned classifier are, in their order.

  Args:
    folder: of the fine-tuning; one of an earlier version does not say.
    source: data that it is to be judged on.

  Raises:
    UserError: if the data have a class that the classifier has not.
  """
  what = json.loads((folder / 'finetune.json').read_text(encoding='utf-8'))
  own = tuple(source.class_names or ())
  classes = tuple(what.get('classes', own))
  others = [name for name in own if name not in classes]
  if others:
    raise UserError(
      f'{source.name} has {len(others)} classes that the fine-tuning did not '
      f'have, such as {others[0]!r}; give the --data that it had'
    )
  return classes
