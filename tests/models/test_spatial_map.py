import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.errors import UserError
from jaxssl.models.spatial_map import spatial_map

TOKENS = jnp.arange(2 * 8 * 5.0).reshape(2, 8, 5)
MAP = jnp.zeros((1, 2, 2, 3))


def test_patches_are_laid_out_in_reading_order():
  patches = TOKENS[:, 2:]
  found = spatial_map({'patches': patches}, (16, 24))
  np.testing.assert_array_equal(found[1, 1, 2], patches[1, 5])
  assert found.shape == (2, 2, 3, 5)


def test_tokens_before_the_patches_are_left_out():
  out = {'patches': TOKENS[:, 2:], 'block00': TOKENS}
  found = spatial_map(out, (16, 24), 'block00')
  np.testing.assert_array_equal(found.reshape(2, 6, 5), TOKENS[:, 2:])


def test_an_image_that_patches_do_not_divide_has_the_nearest_grid():
  # 50 x 75 pixels in patches of 16: 3 x 4, though 12 x 50 / 75 is 2.8 squared.
  assert spatial_map({'patches': jnp.zeros((1, 12, 2))}, (50, 75)).shape == (
    *(1, 3, 4),
    2,
  )


def test_the_last_stage_is_taken():
  out = {'stem': MAP, 'stage1': MAP + 1, 'stage4': MAP + 4, 'stage2': MAP + 2}
  assert spatial_map(out, (8, 8)).mean() == 4
  assert spatial_map(out, (8, 8), 'stage2').mean() == 2


def test_an_encoder_without_a_map_is_an_error():
  with pytest.raises(UserError, match='no spatial map'):
    spatial_map({'pre_logits': MAP}, (8, 8))


def test_a_layer_that_is_no_map_is_an_error():
  with pytest.raises(UserError, match='none for its places'):
    spatial_map({'patches': TOKENS, 'cls': TOKENS[:, 0]}, (16, 24), 'cls')
  with pytest.raises(UserError, match="did you mean 'stage1'"):
    spatial_map({'stage1': MAP}, (8, 8), 'stage')
