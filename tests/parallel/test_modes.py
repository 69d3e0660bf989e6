import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.errors import UserError
from jaxssl.parallel import collectives, modes

CASES = [('jit', 1), ('jit', 2), ('jit', 8), ('pmap', 1), ('pmap', 2)]
ROWS = np.arange(16, dtype=np.float32).reshape(8, 2)


def _state():
  return {
    'weights': jnp.arange(6, dtype=jnp.float32).reshape(2, 3),
    'half': jnp.ones(3, jnp.bfloat16),
    'step': jnp.int32(5),
    'key': jax.random.key(1),
    'empty': {},
  }


def _step(state, batch, axis_name=None):
  mean = collectives.pmean(batch['x'].mean(), axis_name)
  state = {**state, 'weights': state['weights'] + mean}
  return state, {'mean': mean}


def _plain(state):
  """Keys as integers, arrays as NumPy."""
  return jax.device_get({**state, 'key': jax.random.key_data(state['key'])})


@pytest.mark.parametrize(('name', 'devices'), CASES)
def test_put_and_get_of_a_state_is_exact(name, devices):
  mode = modes.make_mode(name, num_devices=devices)
  back = mode.get_state(mode.put_state(_state()))
  chex.assert_trees_all_equal(_plain(back), _plain(_state()))
  chex.assert_trees_all_equal_shapes_and_dtypes(back, _state())


@pytest.mark.parametrize(('name', 'devices'), CASES)
def test_a_step_sees_the_global_batch_and_gives_its_buffers_away(name, devices):
  mode = modes.make_mode(name, num_devices=devices)
  old = mode.put_state(_state())
  state, metrics = mode.compile(_step)(old, mode.put_batch({'x': ROWS}))
  assert mode.fetch(metrics) == {'mean': ROWS.mean()}
  expected = _plain(_step(_state(), {'x': ROWS})[0])
  chex.assert_trees_all_equal(_plain(mode.get_state(state)), expected)
  assert old['weights'].is_deleted()


@pytest.mark.parametrize('name', modes.MODES)
def test_the_next_step_takes_the_state_as_it_comes(name):
  mode = modes.make_mode(name, num_devices=2)
  chex.clear_trace_counter()
  step = mode.compile(chex.assert_max_traces(_step, n=1))
  state, batch = mode.init(_state), mode.put_batch({'x': ROWS})
  for _ in range(3):
    state, _ = step(state, batch)
  expected = np.arange(6).reshape(2, 3) + 3 * ROWS.mean()
  np.testing.assert_array_equal(mode.get_state(state)['weights'], expected)


@pytest.mark.parametrize(('name', 'devices'), CASES)
def test_init_and_put_state_place_alike(name, devices):
  mode = modes.make_mode(name, num_devices=devices)
  made, put = mode.init(_state), mode.put_state(_state())
  chex.assert_trees_all_equal_shapes_and_dtypes(made, put)
  assert [x.sharding.device_set for x in jax.tree.leaves(made)] == [
    x.sharding.device_set for x in jax.tree.leaves(put)
  ]


def test_mesh_has_automatic_axes():
  mesh = modes.make_mesh()
  assert mesh.size == 8
  assert mesh.axis_types == (jax.sharding.AxisType.Auto,) * 2


def test_unknown_mode_offers_the_closest():
  with pytest.raises(UserError, match=r"unknown train.mode 'pmapp'.*'pmap'"):
    modes.make_mode('pmapp')


@pytest.mark.parametrize('devices', [0, 9])
def test_more_devices_than_there_are(devices):
  with pytest.raises(UserError, match=r'has 8 cpu device\(s\)'):
    modes.make_mode('jit', num_devices=devices)
