"""Trackers of experiments: Weights & Biases, MLflow, trackio.

Each is a package of its own, and takes its settings as its users know them: a
login, `WANDB_MODE=offline`, `MLFLOW_TRACKING_URI`, `TRACKIO_DIR`.
"""

from collections.abc import Mapping
import logging
import time
from typing import Any, Protocol
import uuid

from jaxssl import atomic_file
from jaxssl.config import flatten
from jaxssl.data.optional import require
from jaxssl.errors import UserError
from jaxssl.paths import Path
from jaxssl.train.writers import About, Writer, tagged

_PROJECT = 'jaxssl'
_log = logging.getLogger(__name__)


class Tracker(Writer, Protocol):
  """A writer whose run can be found again."""

  run_id: str


class Wandb:
  """A run of Weights & Biases."""

  def __init__(self, about: About, run_id: str | None):
    """Begins a run, or goes on with one."""
    self._wandb = require('wandb', extra='wandb')
    self._run = self._wandb.init(
      project=_PROJECT,
      name=about.name,
      id=run_id,
      resume='allow',
      dir=about.directory,  # None: where it likes
      config=dict(about.config),
    )
    # Its own count of steps never goes back, as that of a resumed run does.
    self._run.define_metric('*', step_metric='step')
    self.run_id = str(self._run.id)
    for name, pixels in about.pictures.items():
      self._run.log({name: self._wandb.Image(pixels), 'step': 0})

  def write(self, step: int, scalars: Mapping[str, float]) -> None:
    """See `Writer.write`."""
    self._run.log({**tagged(scalars), 'step': step})

  def sync(self) -> None:
    """See `Writer.sync`; it sends in a process of its own."""

  def close(self) -> None:
    """See `Writer.close`."""
    self._run.finish()


class MLflow:
  """A run of MLflow, in the experiment `jaxssl`."""

  def __init__(self, about: About, run_id: str | None):
    """Begins a run, or goes on with one."""
    mlflow = require('mlflow', extra='mlflow')
    self._metric = mlflow.entities.Metric
    self._client = mlflow.MlflowClient()
    if run_id:
      self._client.update_run(run_id, status='RUNNING')
      self.run_id = run_id
      return
    found = self._client.get_experiment_by_name(_PROJECT)
    experiment = (
      found.experiment_id if found else self._client.create_experiment(_PROJECT)
    )
    run = self._client.create_run(experiment, run_name=about.name)
    self.run_id = str(run.info.run_id)
    for key, value in flatten(about.config).items():
      self._client.log_param(self.run_id, key, value)
    for name, pixels in about.pictures.items():
      self._client.log_image(self.run_id, pixels, f'{name}.png')

  def write(self, step: int, scalars: Mapping[str, float]) -> None:
    """See `Writer.write`."""
    now = time.time_ns() // 1_000_000
    metrics = [
      self._metric(name, value, now, step)
      for name, value in tagged(scalars).items()
    ]
    self._client.log_batch(self.run_id, metrics=metrics)

  def sync(self) -> None:
    """See `Writer.sync`; each step is sent at once."""

  def close(self) -> None:
    """See `Writer.close`."""
    self._client.set_terminated(self.run_id)


class Trackio:
  """A run of trackio, on this machine unless its settings say otherwise."""

  def __init__(self, about: About, run_id: str | None):
    """Begins a run, or goes on with one."""
    self._trackio = require('trackio', extra='trackio')
    self.run_id = run_id or f'{about.name}-{uuid.uuid4().hex[:8]}'
    self._run = self._trackio.init(
      project=_PROJECT,
      name=self.run_id,
      config=flatten(about.config),
      resume='allow',
      embed=False,
    )
    for name, pixels in about.pictures.items():
      self._run.log({name: self._trackio.Image(pixels)}, step=0)

  def write(self, step: int, scalars: Mapping[str, float]) -> None:
    """See `Writer.write`."""
    self._run.log(tagged(scalars), step=step)

  def sync(self) -> None:
    """See `Writer.sync`; it writes in a thread of its own."""

  def close(self) -> None:
    """See `Writer.close`."""
    self._trackio.finish()


TRACKERS: dict[str, Any] = {
  'mlflow': MLflow,
  'trackio': Trackio,
  'wandb': Wandb,
}


def open_tracker(
  name: str, about: About, id_path: Path, *, is_new: bool
) -> Writer:
  """Returns a writer to a tracker, which no failure of it ends.

  Args:
    name: one of `TRACKERS`.
    about: the run.
    id_path: file that keeps what finds the run of the tracker again.
    is_new: whether the run begins, and is another one than that of the file.

  Raises:
    UserError: if its package is not installed, or it cannot be begun.
  """
  run_id = None
  if not is_new and id_path.exists():
    run_id = id_path.read_text().strip()
  try:
    tracker = TRACKERS[name](about, run_id)
  except UserError:
    raise
  except Exception as error:
    first = (str(error) or type(error).__name__).splitlines()[0]
    raise UserError(
      f'train.log_to: {name} cannot begin a run ({first}); see its own '
      'documents for login and settings, or leave train.log_to out'
    ) from error
  atomic_file.write_text(id_path, tracker.run_id)
  return _Guarded(name, tracker)


class _Guarded:
  """A tracker; what fails in it is told once, and the training goes on.

  `metrics.jsonl` has all that it misses.
  """

  def __init__(self, name: str, tracker: Tracker):
    self._name, self._tracker, self._has_failed = name, tracker, False

  def write(self, step: int, scalars: Mapping[str, float]) -> None:
    """See `Writer.write`."""
    try:
      self._tracker.write(step, scalars)
    except Exception as error:
      self._tell(error)

  def sync(self) -> None:
    """See `Writer.sync`."""
    try:
      self._tracker.sync()
    except Exception as error:
      self._tell(error)

  def close(self) -> None:
    """See `Writer.close`."""
    try:
      self._tracker.close()
    except Exception as error:
      self._tell(error)

  def _tell(self, error: Exception) -> None:
    if not self._has_failed:
      _log.warning(
        '%s does not take what is written (%s); metrics.jsonl has all',
        self._name,
        error,
      )
    self._has_failed = True
