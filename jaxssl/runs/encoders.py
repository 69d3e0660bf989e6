"""The encoder of a workdir, from its export or from a checkpoint."""

import contextlib
import dataclasses

from jaxssl.build import Run, build
from jaxssl.config.schema import complete
from jaxssl.errors import UserError
from jaxssl.job import exported_encoder
from jaxssl.paths import Path
from jaxssl.train.checkpoint import Checkpoints, Restored
from jaxssl.train.workdir import Workdir
from jaxssl.weights.exported import (
  INFO,
  ExportedEncoder,
  check_finite,
  load_encoder,
)


def load(workdir: Workdir, *, step: int | None = None) -> ExportedEncoder:
  """Returns the newest encoder of a workdir, or that of one checkpoint.

  Args:
    workdir: workdir of `jaxssl train` or `jaxssl import`, or a folder of an
      exported encoder.
    step: number of a checkpoint; the newest weights by default.

  Raises:
    UserError: if there are no weights, they do not fit their encoder, or one is
      not finite.
  """
  exported = _load(workdir, step)
  check_finite(exported)
  return exported


def _load(workdir: Workdir, step: int | None) -> ExportedEncoder:
  if step is None and (workdir.path / INFO).exists():
    return load_encoder(workdir.path)  # an export itself
  newest = max(_checkpoint_steps(workdir.checkpoints), default=None)
  if (step is None or newest is None) and (workdir.export / INFO).exists():
    exported = load_encoder(workdir.export)
    if exported.step == step or (
      step is None and (newest is None or exported.step >= newest)
    ):
      return exported
    if newest is None:
      raise UserError(
        f'{str(workdir.path)!r} has no checkpoints; its export/ is of step '
        f'{exported.step}: leave --step out'
      )
  if newest is None:
    raise UserError(
      f'no encoder in {str(workdir.path)!r}: neither export/ nor checkpoints/; '
      'give the workdir of `jaxssl train` or `jaxssl import`'
    )
  return of_checkpoint(*restore(workdir, step=step))


def _checkpoint_steps(directory: Path) -> list[int]:
  if not directory.is_dir():
    return []
  return [int(path.name) for path in directory.iterdir() if path.name.isdigit()]


def restore(
  workdir: Workdir, *, step: int | None = None
) -> tuple[Run, Restored]:
  """Returns a run and one of its checkpoints, with all that its method has.

  Args:
    workdir: workdir of `jaxssl train`.
    step: number of a checkpoint; the newest by default.

  Raises:
    UserError: if there is no such checkpoint, or it cannot be read.
  """
  # A run of an older version lacks sections that came later.
  config = complete(workdir.read_config())
  # Whatever it was trained on, here each device holds as little as it can.
  train = {**config['train'], 'mode': 'jit', 'fsdp': None}
  run = dataclasses.replace(build({**config, 'train': train}), config=config)
  shapes = run.batch_shapes(run.train.batch_size)
  target = run.mode.target(run.learner.abstract(shapes))
  with contextlib.closing(Checkpoints(workdir.checkpoints)) as saved:
    return run, saved.restore(target, step=step)


def of_checkpoint(run: Run, restored: Restored) -> ExportedEncoder:
  """Returns the encoder of a checkpoint as `jaxssl train` would export it."""
  state = restored.state
  towers = run.learner.method.export(state.params, state.method_state)
  return exported_encoder(run, towers, restored.step)
