"""Which GPUs belong to a process that SLURM has started."""

from collections.abc import Mapping

from jaxssl.errors import UserError


def local_device_ids(environment: Mapping[str, str]) -> list[int] | None:
  """Returns the GPUs of this process, counted among those that it sees.

  JAX gives the n-th process of a node the n-th GPU. That is wrong where one
  process has the whole node, of which it would use one GPU, and where SLURM
  shows each process only its own.

  Args:
    environment: `os.environ` of the process.

  Returns:
    Numbers from 0, or None to leave it to JAX: outside of SLURM's steps, where
    SLURM has not said which GPUs there are, or JAX_LOCAL_DEVICE_IDS does.

  Raises:
    UserError: if the GPUs of a node cannot be shared evenly.
  """
  visible = environment.get('CUDA_VISIBLE_DEVICES')
  tasks = environment.get('SLURM_STEP_TASKS_PER_NODE')
  if not visible or not tasks or 'SLURM_LOCALID' not in environment:
    return None
  if 'JAX_LOCAL_DEVICE_IDS' in environment:
    return None
  count = len(visible.split(','))
  if 'SLURM_GPUS_PER_TASK' in environment:
    return list(range(count))
  processes = _of_each_node(tasks)[int(environment.get('SLURM_NODEID', 0))]
  if count % processes:
    raise UserError(
      f'{count} GPUs cannot be shared by {processes} processes of a node; give '
      '--ntasks-per-node=1, or as many as there are GPUs'
    )
  share = count // processes
  first = int(environment['SLURM_LOCALID']) * share
  return list(range(first, first + share))


def _of_each_node(tasks: str) -> list[int]:
  """Returns the processes of each node; `8(x2),4` is 8, 8 and 4."""
  counts: list[int] = []
  for part in tasks.split(','):
    number, _, times = part.rstrip(')').partition('(x')
    counts += [int(number)] * int(times or 1)
  return counts
