import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.ops import lab

BLACK_TO_WHITE = np.linspace(0, 1, 256)[:, None].repeat(3, axis=1)


def _colors():
  random = np.random.default_rng(0).uniform(size=(2000, 3))
  return np.concatenate([random, BLACK_TO_WHITE]).astype(np.float32)


def test_rgb_to_lab_equals_skimage():
  color = pytest.importorskip('skimage.color')
  # Values up to 100, cube roots and powers in float32.
  np.testing.assert_allclose(
    lab.rgb_to_lab(jnp.asarray(_colors())),
    color.rgb2lab(_colors().astype(np.float64)),
    atol=1e-3,
  )


def test_lab_to_rgb_is_the_inverse():
  back = lab.lab_to_rgb(lab.rgb_to_lab(jnp.asarray(_colors())))
  # Half an 8-bit step is 2e-3; the published matrices have 6 digits.
  np.testing.assert_allclose(back, _colors(), atol=1e-4)


def test_gray_has_no_color():
  image = lab.rgb_to_lab(jnp.asarray(BLACK_TO_WHITE))
  # The white point has 6 digits.
  np.testing.assert_allclose(image[:, 1:], 0.0, atol=0.02)
  np.testing.assert_allclose(image[0, 0], 0.0, atol=1e-4)
  np.testing.assert_allclose(image[-1, 0], 100.0, atol=1e-3)


def test_colors_outside_of_srgb_are_clipped():
  rgb = lab.lab_to_rgb(jnp.array([[50.0, 100.0, -100.0], [100.0, -80.0, 80.0]]))
  assert float(rgb.min()) >= 0.0
  assert float(rgb.max()) <= 1.0


def test_values_out_of_range_give_finite_colors():
  assert np.isfinite(lab.rgb_to_lab(jax.numpy.array([-1.0, 0.5, 3.0]))).all()
