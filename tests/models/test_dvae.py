import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import errors, models
from jaxssl.models.dvae import DVAEDecoder, map_pixels, unmap_pixels


def test_default_sizes_are_dalles():
  encoder = models.make_encoder('dvae')
  images = jax.ShapeDtypeStruct((1, 112, 112, 3), jnp.float32)
  (features, out), variables = jax.eval_shape(
    encoder.init_with_output, jax.random.key(0), images
  )
  assert features.shape == (1, 2048)
  assert out['logits'].shape == (1, 14, 14, 8192)
  blocks = [n for n in variables['params'] if n.startswith('group_')]
  assert len(blocks) == 8
  location, log_scale = jax.eval_shape(
    lambda codes: DVAEDecoder().init_with_output(jax.random.key(0), codes)[0],
    out['logits'],
  )
  assert location.shape == log_scale.shape == (1, 112, 112, 3)


def test_mapped_pixels_stay_off_the_ends_and_come_back():
  x = jnp.array([0.0, 0.25, 1.0])
  np.testing.assert_allclose(map_pixels(x), [0.1, 0.3, 0.9], atol=1e-7)
  np.testing.assert_allclose(unmap_pixels(map_pixels(x)), x, atol=1e-6)
  np.testing.assert_allclose(unmap_pixels(jnp.array([0.0, 1.0])), [0, 1])


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'width': 10}, 'divisible by 4'),
    ({'blocks_per_group': 0}, 'blocks_per_group is 0'),
    ({'vocab_size': 1}, 'vocab_size is 1'),
  ],
)
def test_impossible_sizes_are_user_errors(changes, message):
  with pytest.raises(errors.UserError, match=message):
    models.make_encoder('dvae', **changes)


def test_images_that_eight_does_not_divide_are_user_errors():
  encoder = models.make_encoder('dvae', width=4)
  with pytest.raises(errors.UserError, match='8 divides'):
    jax.eval_shape(encoder.init, jax.random.key(0), jnp.zeros((1, 12, 16, 3)))
