import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.errors import UserError
from jaxssl.ops import schedules
from jaxssl.parallel import collectives, modes
from jaxssl.train import optim

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


SIDE = 1024


def _large_state():
  """A kernel with its moment, and a bias that is too small to be cut."""
  kernel = jax.random.normal(jax.random.key(0), (SIDE, SIDE)) / SIDE**0.5
  return {
    'kernel': kernel,
    'moment': jnp.zeros_like(kernel),
    'bias': jnp.zeros(SIDE),
    'key': jax.random.key(1),
  }


def _descend(state, batch):
  def loss(kernel, bias):
    outputs = jnp.tanh(batch['x'] @ kernel[:2] + bias[None])
    return jnp.mean((outputs @ kernel) ** 2)

  value, (kernel, bias) = jax.value_and_grad(loss, argnums=(0, 1))(
    state['kernel'], state['bias']
  )
  moment = 0.9 * state['moment'] + kernel
  state = {
    **state,
    'kernel': state['kernel'] - 0.1 * moment,
    'moment': moment,
    'bias': state['bias'] - 0.1 * bias,
  }
  return state, {'loss': value}


def _bytes_held(state):
  """By the first device."""
  leaves = [x for x in jax.tree.leaves(state) if x.size > 1]
  return sum(x.addressable_shards[0].data.nbytes for x in leaves)


def test_deterministic_steps_change_nothing_on_a_cpu():
  plain = modes.make_mode('jit')
  mode = modes.make_mode('jit', deterministic=True)
  batch = plain.put_batch({'x': ROWS})
  expected, _ = plain.compile(_descend)(plain.init(_large_state), batch)
  state, _ = mode.compile(_descend)(mode.init(_large_state), batch)
  chex.assert_trees_all_equal(_plain(state), _plain(expected))


def test_deterministic_steps_need_options_of_the_compiler():
  with pytest.raises(UserError, match=r'train\.deterministic .* "jit"'):
    modes.make_mode('pmap', deterministic=True)


@pytest.mark.parametrize('fsdp', [2, None])
def test_devices_share_a_state(fsdp):
  mode = modes.make_mode('jit', fsdp=fsdp)
  state = mode.init(_large_state)
  large, bias = 2 * 4 * SIDE**2, 4 * SIDE
  assert _bytes_held(state) == large // (fsdp or 8) + bias
  whole = modes.make_mode('jit')
  expected, batch = whole.init(_large_state), whole.put_batch({'x': ROWS})
  step, plain_step = mode.compile(_descend), whole.compile(_descend)
  for _ in range(3):
    state, metrics = step(state, mode.put_batch({'x': ROWS}))
    expected, _ = plain_step(expected, batch)
  assert _bytes_held(state) == large // (fsdp or 8) + bias
  assert metrics['loss'].is_fully_replicated
  chex.assert_trees_all_close(_plain(state), _plain(expected), atol=1e-6)


def test_a_shared_state_is_made_and_moved_in_parts():
  mode = modes.make_mode('jit', fsdp=None)
  shardings = mode.shardings(jax.eval_shape(_large_state))
  made = jax.jit(_large_state, out_shardings=shardings)
  memory = made.lower().compile().memory_analysis()
  part = 4 * SIDE**2 // 8
  assert memory.output_size_in_bytes < 2.1 * part
  # Random numbers need a copy or two on the way, but not a whole array.
  assert memory.temp_size_in_bytes < 4 * part
  step = mode.compile(_descend)
  batch = mode.put_batch({'x': ROWS})
  memory = step.lower(mode.init(_large_state), batch).compile()
  memory = memory.memory_analysis()
  # Given away, and taken by the next state.
  assert memory.alias_size_in_bytes > 2 * part


def test_a_shared_state_comes_to_the_host_whole():
  mode = modes.make_mode('jit', fsdp=None)
  kernel = modes.to_host(mode.put_state(_large_state()))['kernel']
  assert isinstance(kernel, np.ndarray)
  np.testing.assert_array_equal(kernel, _large_state()['kernel'])


def test_norms_of_lars_are_those_of_whole_arrays():
  tx = optim.make_optimizer(
    name='lars', learning_rate=schedules.constant(start=1.0)
  )
  params = {'kernel': _large_state()['kernel']}
  grads = jax.tree.map(jnp.cos, params)
  update = jax.jit(
    lambda grads, params: tx.update(grads, tx.init(params), params)[0]
  )
  expected = update(grads, params)
  mode = modes.make_mode('jit', fsdp=None)
  found = update(*map(mode.put_state, (grads, params)))
  chex.assert_trees_all_close(jax.device_get(found), expected, rtol=1e-5)


@pytest.mark.parametrize('fsdp', [3, 16, 0, -2])
def test_groups_must_divide_the_devices(fsdp):
  with pytest.raises(UserError, match=r'8 device\(s\) do not divide'):
    modes.make_mode('jit', fsdp=fsdp)


def test_pmap_shares_nothing():
  with pytest.raises(UserError, match=r'train\.fsdp is 8.*use mode "jit"'):
    modes.make_mode('pmap', fsdp=8)


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
