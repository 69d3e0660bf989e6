import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import models
from jaxssl.models import reinitialize

DIM = 64


@pytest.fixture(scope='module')
def params():
  encoder = models.make_encoder(
    'vit_ti8',
    dim=DIM,
    depth=2,
    num_heads=4,
    position='relative',
    layer_scale=0.1,
    use_mask_token=True,
  )
  images = jnp.zeros((1, 32, 32, 3))
  variables = jax.jit(encoder.init)(jax.random.key(0), images)
  return {'encoder': variables['params']}


def test_xavier_bounds_follow_from_both_widths(params):
  drawn = reinitialize.xavier(jax.random.key(1), params)['encoder']
  kernels = {
    'patch': (drawn['patch_embed']['proj']['kernel'], 8 * 8 * 3 + DIM),
    'qkv': (drawn['blocks_0']['attn']['qkv']['kernel'], 4 * DIM),
    'fc1': (drawn['blocks_1']['mlp']['fc1']['kernel'], 5 * DIM),
  }
  for name, (kernel, widths) in kernels.items():
    limit = (6 / widths) ** 0.5
    assert np.abs(kernel).max() <= limit, name
    assert kernel.std() == pytest.approx(limit / 3**0.5, rel=0.03), name
  assert drawn['cls_token'].std() == pytest.approx(0.02, rel=0.3)
  assert not drawn['patch_embed']['proj']['bias'].any()


def test_moco_v3_draws_query_key_and_value_apart(params):
  drawn = reinitialize.moco_v3(jax.random.key(1), params['encoder'])
  # Xavier's sqrt(6 / (fan_in + fan_out)) of the authors' matrices.
  kernels = {
    'patch': (drawn['patch_embed']['proj']['kernel'], 8 * 8 * 3 + DIM),
    'qkv': (drawn['blocks_0']['attn']['qkv']['kernel'], 2 * DIM),
    'proj': (drawn['blocks_0']['attn']['proj']['kernel'], 2 * DIM),
    'fc1': (drawn['blocks_1']['mlp']['fc1']['kernel'], 5 * DIM),
  }
  for name, (kernel, widths) in kernels.items():
    limit = (6 / widths) ** 0.5
    assert 0.98 * limit < np.abs(kernel).max() <= limit, name
    assert kernel.std() == pytest.approx(limit / 3**0.5, rel=0.03), name
  chex.assert_trees_all_equal(
    drawn['cls_token'], params['encoder']['cls_token']
  )
  assert not drawn['patch_embed']['proj']['bias'].any()


def test_moco_v3_leaves_the_convolutional_stem(params):
  stem = {'proj_0': {'kernel': jnp.ones((3, 3, 3, 4))}}
  encoder = params['encoder'] | {'patch_embed': stem}
  drawn = reinitialize.moco_v3(jax.random.key(1), encoder)
  chex.assert_trees_all_equal(drawn['patch_embed'], stem)


def test_truncated_normal_is_cut_at_one_deviation(params):
  drawn = reinitialize.truncated_normal(jax.random.key(1), params)['encoder']
  for block in (0, 1):
    branch = drawn[f'blocks_{block}']
    scale = (2 * (block + 1)) ** -0.5
    for kernel, factor in [
      (branch['attn']['qkv']['kernel'], 1.0),
      (branch['mlp']['fc1']['kernel'], 1.0),
      (branch['attn']['proj']['kernel'], scale),
      (branch['mlp']['fc2']['kernel'], scale),
    ]:
      assert np.abs(kernel).max() <= 0.02 * factor
      # The deviation of a normal that is cut at one deviation.
      assert kernel.std() == pytest.approx(0.5396 * 0.02 * factor, rel=0.03)
  assert np.abs(drawn['mask_token']).max() <= 0.02


@pytest.mark.parametrize('draw', ['xavier', 'truncated_normal'])
def test_all_else_stays(params, draw):
  drawn = getattr(reinitialize, draw)(jax.random.key(1), params)['encoder']
  old = params['encoder']
  chex.assert_trees_all_equal(drawn['blocks_0']['ls1'], old['blocks_0']['ls1'])
  chex.assert_trees_all_equal(drawn['norm']['scale'], old['norm']['scale'])
  chex.assert_trees_all_equal(drawn['rel_pos_bias'], old['rel_pos_bias'])
  chex.assert_trees_all_equal_shapes_and_dtypes(drawn, old)
