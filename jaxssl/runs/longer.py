"""A run that goes on for longer than its config said when it began."""

import logging

from jaxssl import config as config_lib
from jaxssl.build import Run, build
from jaxssl.config import schema
from jaxssl.errors import UserError
from jaxssl.train.workdir import LENGTH, MAY_CHANGE, Workdir

_log = logging.getLogger(__name__)


def shorter_run(run: Run, workdir: Workdir) -> Run | None:
  """Returns the run in a workdir that `run` is a longer one of, if it is.

  Raises:
    UserError: if it is a shorter one.
  """
  if not workdir.config_path.exists():
    return None
  try:
    kept = schema.complete(workdir.read_config())
  except UserError:
    return None  # told by who claims the workdir, if nobody else trains in it
  lines = config_lib.differences(kept, run.config)
  changed = {line.partition(':')[0] for line in lines}.difference(MAY_CHANGE)
  if not changed or not changed <= set(LENGTH):
    return None
  old = build(kept, run.source)
  if run.num_steps < old.num_steps:
    raise UserError(
      f'workdir {str(workdir.path)!r} holds a run of {old.num_steps} steps; '
      f'it can become longer, not {run.num_steps} steps long'
    )
  return old


def tell(old: Run, new: Run, step: int) -> None:
  """Says in the log what more steps mean for the schedule.

  Args:
    old: the run as it was begun.
    new: the run with more steps.
    step: number of finished steps.
  """
  _log.info(
    'the run goes on from step %d to %d instead of %d: its schedules are those '
    'of a run of %d steps from here on, the learning rate is %.3g and would '
    'have been %.3g; so it is not the run that has %d steps from its start',
    step,
    new.num_steps,
    old.num_steps,
    new.num_steps,
    float(new.learning_rate(step)),
    float(old.learning_rate(step)),
    new.num_steps,
  )
