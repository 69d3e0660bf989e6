import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import errors, models
from jaxssl.models.relative_position import RelativePositionBias, offsets


def _module(grid):
  """A module, and a table of different numbers."""
  module = RelativePositionBias(num_heads=2, grid=grid)
  rows, columns = offsets(grid)
  table = jnp.arange(2.0 * (rows * columns + 3)).reshape(2, -1)
  return module, {'params': {'relative_position_bias_table': table}}


@pytest.mark.reference
@pytest.mark.parametrize('grid', [(3, 3), (4, 4), (2, 5)])
def test_entries_and_their_gradient_equal_transformers(grid):
  modeling_beit = pytest.importorskip('transformers.models.beit.modeling_beit')
  theirs = modeling_beit.BeitRelativePositionBias
  index = theirs.generate_relative_position_index(grid).numpy()
  module, variables = _module(grid)
  (bias,), pullback = jax.vjp(lambda v: module.apply(v, grid), variables)
  table = variables['params']['relative_position_bias_table']
  np.testing.assert_array_equal(bias, table[:, index])
  (gradient,) = pullback(jnp.ones_like(bias)[None])
  (gradient,) = jax.tree.leaves(gradient)
  # Each entry as often as it is used.
  np.testing.assert_array_equal(gradient, 2 * [np.bincount(index.flat)])


def test_equal_offsets_share_an_entry():
  module, variables = _module((3, 4))
  bias = module.apply(variables, (3, 4))[0, 0, 1:, 1:]
  for query, key in [((0, 0), (1, 1)), ((1, 2), (2, 3))]:
    i, j = query[0] * 4 + query[1], key[0] * 4 + key[1]
    assert bias[i, j] == bias[0, 5]
  assert len(np.unique(bias)) == 5 * 7


def test_bias_starts_from_zero_and_a_larger_grid_interpolates():
  module = RelativePositionBias(num_heads=2, grid=(3, 3))
  bias, variables = module.init_with_output(jax.random.key(0), (3, 3))
  chex.assert_shape(bias, (1, 2, 10, 10))
  assert not bias.any()
  # A constant table stays constant when it is interpolated.
  table = (
    jnp.ones_like(variables['params']['relative_position_bias_table'])
    .at[:, -3:]
    .set(2.0)
  )
  larger = module.apply(
    {'params': {'relative_position_bias_table': table}}, (4, 4)
  )
  chex.assert_shape(larger, (1, 2, 17, 17))
  np.testing.assert_allclose(larger[:, :, 1:, 1:], 1, rtol=1e-5)
  np.testing.assert_allclose(larger[:, :, 0], 2, rtol=1e-5)


def _encoder():
  return models.make_encoder(
    'vit_ti8', dim=16, depth=1, num_heads=2, position='relative'
  )


def test_vit_takes_images_of_another_size():
  encoder = _encoder()
  variables = jax.eval_shape(
    encoder.init, jax.random.key(0), jnp.zeros((1, 32, 32, 3))
  )
  table = variables['params']['rel_pos_bias']['relative_position_bias_table']
  assert table.shape == (2, 7 * 7 + 3)
  features, _ = jax.eval_shape(
    encoder.apply, variables, jnp.zeros((1, 48, 40, 3))
  )
  assert features.shape == (1, 16)


def test_keep_does_not_go_with_relative_positions():
  with pytest.raises(errors.UserError, match='keep'):
    jax.eval_shape(
      lambda key, x: _encoder().init(key, x, keep=jnp.zeros((1, 2), int)),
      jax.random.key(0),
      jnp.zeros((1, 32, 32, 3)),
    )


def test_relative_positions_need_the_class_token_alone():
  with pytest.raises(errors.UserError, match='num_registers=0'):
    models.make_encoder('vit_ti8', position='relative', num_registers=1)
