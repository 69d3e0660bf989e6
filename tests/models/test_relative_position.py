import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import errors, models
from jaxssl.models.relative_position import RelativePositionBias, bias_index


@pytest.mark.reference
@pytest.mark.parametrize('grid', [(3, 3), (4, 4), (2, 5)])
def test_index_equals_transformers(grid):
  modeling_beit = pytest.importorskip('transformers.models.beit.modeling_beit')
  theirs = modeling_beit.BeitRelativePositionBias
  expected = theirs.generate_relative_position_index(grid).numpy()
  np.testing.assert_array_equal(bias_index(grid), expected)


def test_equal_offsets_share_an_entry():
  index = bias_index((3, 4))[1:, 1:]
  for query, key in [((0, 0), (1, 1)), ((1, 2), (2, 3))]:
    i, j = query[0] * 4 + query[1], key[0] * 4 + key[1]
    assert index[i, j] == index[0, 5]
  assert len(np.unique(index)) == 5 * 7


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
