"""The encoder of a workdir, from its export or from a checkpoint."""

import contextlib
import pathlib

from jaxssl.build import build
from jaxssl.errors import UserError
from jaxssl.job import exported_encoder, make_job
from jaxssl.train.checkpoint import Checkpoints
from jaxssl.train.loop import abstract_state
from jaxssl.train.workdir import Workdir
from jaxssl.weights.exported import ExportedEncoder, load_encoder


def load(workdir: Workdir, *, step: int | None = None) -> ExportedEncoder:
  """Returns the newest encoder of a workdir, or that of one checkpoint.

  Args:
    workdir: of `jaxssl train` or `jaxssl import`.
    step: number of a checkpoint; the newest weights by default.

  Raises:
    UserError: if there are no weights, or they do not fit their encoder.
  """
  newest = max(_checkpoint_steps(workdir.checkpoints), default=None)
  if step is None and (workdir.export / 'encoder.json').exists():
    exported = load_encoder(workdir.export)
    if newest is None or exported.step >= newest:
      return exported
  if newest is None:
    raise UserError(
      f'no encoder in {str(workdir.path)!r}: neither export/ nor checkpoints/; '
      'give the workdir of `jaxssl train` or `jaxssl import`'
    )
  return _from_checkpoint(workdir, step)


def _checkpoint_steps(directory: pathlib.Path) -> list[int]:
  if not directory.is_dir():
    return []
  return [int(path.name) for path in directory.iterdir() if path.name.isdigit()]


def _from_checkpoint(workdir: Workdir, step: int | None) -> ExportedEncoder:
  run = build(workdir.read_config())
  job = make_job(run, dry=True)
  with contextlib.closing(Checkpoints(workdir.checkpoints.absolute())) as saved:
    restored = saved.restore(abstract_state(job), step=step)
  towers = job.method.export(restored.state.params, restored.state.method_state)
  return exported_encoder(run, towers['encoder'], restored.step)
