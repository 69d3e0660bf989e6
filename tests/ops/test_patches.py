import chex
import numpy as np
import pytest

from jaxssl.errors import UserError
from jaxssl.ops import patches


def _images():
  return np.arange(2 * 4 * 6 * 3, dtype=np.float32).reshape(2, 4, 6, 3)


def test_patches_are_in_reading_order_channels_fastest():
  cut = patches.patchify(_images(), 2)
  chex.assert_shape(cut, (2, 6, 12))
  expected = _images()[1, 2:4, 4:6].reshape(-1)
  chex.assert_trees_all_equal(np.asarray(cut[1, 5]), expected)


def test_unpatchify_is_the_inverse():
  cut = patches.patchify(_images(), 2)
  chex.assert_trees_all_equal(patches.unpatchify(cut, 2, (2, 3)), _images())


def test_images_that_patches_do_not_divide_are_a_user_error():
  with pytest.raises(UserError, match=r'4x6 pixels do not divide into .* of 4'):
    patches.patchify(_images(), 4)
