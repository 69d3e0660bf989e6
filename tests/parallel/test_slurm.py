import pytest

from jaxssl.errors import UserError
from jaxssl.parallel import slurm

EIGHT = '0,1,2,3,4,5,6,7'


def environment(visible, tasks, local=0, **more):
  return {
    'CUDA_VISIBLE_DEVICES': visible,
    'SLURM_STEP_TASKS_PER_NODE': tasks,
    'SLURM_LOCALID': str(local),
    **more,
  }


@pytest.mark.parametrize(
  ('visible', 'tasks', 'local', 'wanted'),
  [
    (EIGHT, '8(x4)', 3, [3]),
    (EIGHT, '1(x4)', 0, [0, 1, 2, 3, 4, 5, 6, 7]),
    (EIGHT, '2', 1, [4, 5, 6, 7]),
    # Numbers count among what is seen.
    ('4,5,6,7', '1', 0, [0, 1, 2, 3]),
    ('GPU-1a,GPU-2b', '2(x2),2', 1, [1]),
  ],
)
def test_each_process_has_its_share(visible, tasks, local, wanted):
  found = slurm.local_device_ids(environment(visible, tasks, local))
  assert found == wanted


@pytest.mark.parametrize(('node', 'wanted'), [('1', [3]), ('2', [6, 7])])
def test_nodes_may_have_different_numbers_of_processes(node, wanted):
  found = environment(EIGHT, '8(x2),4', 3, SLURM_NODEID=node)
  assert slurm.local_device_ids(found) == wanted


def test_gpus_of_a_task_are_all_its_own():
  found = environment('0', '8(x2)', 5, SLURM_GPUS_PER_TASK='1')
  assert slurm.local_device_ids(found) == [0]


@pytest.mark.parametrize(
  'missing',
  ['CUDA_VISIBLE_DEVICES', 'SLURM_STEP_TASKS_PER_NODE', 'SLURM_LOCALID'],
)
def test_without_slurm_or_gpus_jax_decides(missing):
  found = environment(EIGHT, '8')
  del found[missing]
  assert slurm.local_device_ids(found) is None


def test_what_the_user_says_is_left_alone():
  found = environment(EIGHT, '1', JAX_LOCAL_DEVICE_IDS='2')
  assert slurm.local_device_ids(found) is None


def test_gpus_that_cannot_be_shared():
  with pytest.raises(UserError, match='8 GPUs cannot be shared by 3'):
    slurm.local_device_ids(environment(EIGHT, '3'))
