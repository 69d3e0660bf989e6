import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import errors, models
from jaxssl.models.class_attention import class_attention

IMAGES = np.random.default_rng(0).normal(size=(2, 16, 16, 3))


def _encoder(**changes):
  sizes = {'dim': 16, 'depth': 2, 'num_heads': 2, **changes}
  return models.make_encoder('vit_ti8', **sizes)


def _noise(tree):
  """Random weights, so that attention is far from uniform."""
  generator = np.random.default_rng(1)
  return jax.tree.map(
    lambda leaf: generator.normal(size=leaf.shape).astype(np.float32), tree
  )


@pytest.mark.parametrize(
  'changes',
  [
    {},
    {'num_registers': 3, 'remat': True},
    {'position': 'relative', 'layer_scale': 0.1},
  ],
)
def test_values_weighted_by_it_are_what_the_block_computes(changes):
  encoder = _encoder(**changes)
  images = jnp.asarray(IMAGES, jnp.float32)
  shapes = jax.eval_shape(encoder.init, jax.random.key(0), images)
  variables = _noise(shapes)

  @jax.jit
  def both(variables, images):
    _, captured = encoder.clone(remat=False).apply(
      variables,
      images,
      capture_intermediates=lambda module, _: module.name in ('qkv', 'attn'),
      mutable=['intermediates'],
    )
    attn = captured['intermediates']['blocks_1']['attn']
    weights = class_attention(encoder, variables, images)
    return weights, attn['qkv']['__call__'][0], attn['__call__'][0]

  weights, qkv, out = both(variables, images)
  tokens = 1 + changes.get('num_registers', 0) + 4
  chex.assert_shape(weights, (2, 2, tokens))
  np.testing.assert_allclose(weights.sum(axis=-1), 1, rtol=1e-6)
  values = np.asarray(qkv).reshape(2, tokens, 3, 2, 8)[:, :, 2]
  mixed = np.einsum('bhn,bnhd->bhd', weights, values).reshape(2, 16)
  proj = variables['params']['blocks_1']['attn']['proj']
  # float32 sums in another order.
  np.testing.assert_allclose(
    mixed @ proj['kernel'] + proj['bias'], out[:, 0], rtol=1e-4, atol=1e-4
  )


def test_an_encoder_without_class_token_is_a_user_error():
  encoder = _encoder(class_token=False, pool='avg')
  with pytest.raises(errors.UserError, match='no class token'):
    class_attention(encoder, {}, jnp.asarray(IMAGES))
