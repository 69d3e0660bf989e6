import jax
import jax.numpy as jnp
from jax.sharding import PartitionSpec as P
import optax
import pytest

from jaxssl.parallel import rules


def _specs(state, size=8, **kwargs):
  return rules.partition_specs(state, axis='fsdp', size=size, **kwargs)


def _spec(shape, dtype=jnp.float32, **kwargs):
  leaf = jax.ShapeDtypeStruct(shape, dtype)
  return _specs({'x': leaf}, smallest=64, **kwargs)['x']


@pytest.mark.parametrize(
  ('shape', 'spec'),
  [
    ((16, 32), P(None, 'fsdp')),
    ((32, 16), P('fsdp')),
    ((32, 32), P('fsdp')),  # the first of equals
    ((3, 3, 8, 16), P(None, None, None, 'fsdp')),
    ((40, 100), P('fsdp')),  # 8 does not divide 100
    ((7, 100), P()),  # nor 7
    ((64,), P('fsdp')),
    ((63,), P()),
    ((8, 7), P()),  # fewer than 64 numbers
    ((), P()),
  ],
)
def test_largest_side_that_divides(shape, spec):
  assert _spec(shape) == spec


def test_one_device_shares_with_none():
  assert _spec((64, 64), size=1) == P()


def test_type_does_not_matter():
  assert _spec((8, 8), jnp.bfloat16) == _spec((8, 8), jnp.int32) == P('fsdp')


def test_keys_stay_whole():
  keys = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 64))
  assert _specs({'keys': keys}, smallest=1) == {'keys': P()}


@pytest.mark.parametrize(
  ('names', 'spec'),
  [
    ((('queue', None),), P()),
    ((('^method_state/queue$', 1),), P(None, 'fsdp')),
    ((('queue', 1), ('queue', None)), P(None, 'fsdp')),  # the first one
    ((('queue', 2),), P()),  # there is no such side
    ((('other', None),), P('fsdp')),
  ],
)
def test_names_come_before_sizes(names, spec):
  queue = jax.ShapeDtypeStruct((64, 16), jnp.float32)
  state = {'method_state': {'queue': queue}}
  found = _specs(state, smallest=64, names=names)
  assert found == {'method_state': {'queue': spec}}


def test_names_cut_even_small_arrays():
  assert _spec((8,), names=(('x', 0),)) == P('fsdp')


def test_moments_lie_as_their_parameters():
  params = {
    'small': jnp.zeros(4),
    'kernel': jnp.zeros((16, 32)),
    'deep': {'kernel': jnp.zeros((32, 8))},
  }
  tx = optax.chain(optax.adamw(1e-3), optax.trace(0.9))
  specs = _specs(params, smallest=64)
  moments = _specs(jax.eval_shape(tx.init, params), smallest=64)
  found = [
    optax.tree.get(moments[0], 'mu'),
    optax.tree.get(moments[0], 'nu'),
    moments[1].trace,
  ]
  assert found == [specs] * 3
