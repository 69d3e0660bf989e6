import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.augment import color
from tests.augment.images import picture

FACTORS = (0.0, 0.3, 1.0, 1.8)
HUES = (-0.5, -0.2, 0.0, 0.1, 0.4)
# A few float32 roundings; a hue turn divides by the chroma, which adds some.
EXACT, HUE = 5e-7, 2e-6

OPERATIONS = [
  (color.adjust_brightness, 0.7),
  (color.adjust_brightness_additive, 0.2),
  (color.adjust_contrast, 1.6),
  (color.adjust_contrast_tf, 1.6),
  (color.adjust_saturation, 1.6),
  (color.adjust_saturation_tf, 1.6),
  (color.adjust_hue, 0.15),
  (lambda image, _: color.rgb_to_gray(image), 0.0),
  (color.solarize, 0.5),
]


def _torchvision(name, image, amount):
  import torch
  from torchvision.transforms.v2 import functional

  planes = torch.tensor(image).permute(2, 0, 1)
  changed = getattr(functional, name)(planes, amount)
  return changed.permute(1, 2, 0).numpy()


@pytest.mark.reference
@pytest.mark.parametrize('factor', FACTORS)
@pytest.mark.parametrize(
  'name', ['adjust_brightness', 'adjust_contrast', 'adjust_saturation']
)
def test_equals_torchvision(name, factor):
  ours = getattr(color, name)(picture(), factor)
  chex.assert_trees_all_close(
    np.asarray(ours), _torchvision(name, picture(), factor), atol=EXACT
  )


@pytest.mark.reference
@pytest.mark.parametrize('delta', HUES)
def test_hue_equals_torchvision(delta):
  ours = color.adjust_hue(picture(), delta)
  theirs = _torchvision('adjust_hue', picture(), delta)
  chex.assert_trees_all_close(np.asarray(ours), theirs, atol=HUE)


@pytest.mark.reference
def test_gray_and_solarize_equal_torchvision():
  gray = _torchvision('rgb_to_grayscale', picture(), 3)
  chex.assert_trees_all_close(
    np.asarray(color.rgb_to_gray(picture())), gray, atol=EXACT
  )
  solarized = _torchvision('solarize', picture(), 0.5)
  chex.assert_trees_all_equal(
    np.asarray(color.solarize(picture(), 0.5)), solarized
  )


@pytest.mark.parametrize('factor', FACTORS)
def test_contrast_and_saturation_equal_tensorflow(factor):
  import tensorflow as tf

  contrast = tf.image.adjust_contrast(picture(), factor).numpy()
  saturation = tf.image.adjust_saturation(picture(), factor).numpy()
  chex.assert_trees_all_close(
    np.asarray(color.adjust_contrast_tf(picture(), factor)),
    np.clip(contrast, 0, 1),
    atol=EXACT,
  )
  chex.assert_trees_all_close(
    np.asarray(color.adjust_saturation_tf(picture(), factor)),
    np.clip(saturation, 0, 1),
    atol=EXACT,
  )


@pytest.mark.parametrize('delta', HUES)
def test_hue_and_brightness_equal_tensorflow(delta):
  import tensorflow as tf

  chex.assert_trees_all_close(
    np.asarray(color.adjust_hue(picture(), delta)),
    tf.image.adjust_hue(picture(), delta).numpy(),
    atol=HUE,
  )
  brightness = tf.image.adjust_brightness(picture(), delta).numpy()
  chex.assert_trees_all_close(
    np.asarray(color.adjust_brightness_additive(picture(), delta)),
    np.clip(brightness, 0, 1),
    atol=EXACT,
  )


def test_gray_equals_tensorflow():
  import tensorflow as tf

  gray = tf.image.rgb_to_grayscale(picture()).numpy()
  chex.assert_trees_all_close(
    np.asarray(color.rgb_to_gray(picture())),
    np.tile(gray, (1, 1, 3)),
    atol=EXACT,
  )


def test_solarize_equals_pillow_on_8_bits():
  from PIL import Image, ImageOps

  pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
  theirs = np.asarray(ImageOps.solarize(Image.fromarray(pixels)))
  for threshold in (128 / 255, 0.5):
    ours = color.solarize(pixels.astype(np.float32) / 255, threshold)
    chex.assert_trees_all_equal(
      np.round(np.asarray(ours) * 255).astype(np.uint8), theirs
    )


@pytest.mark.parametrize(('operation', 'amount'), OPERATIONS)
def test_jit_and_vmap_equal_one_by_one(operation, amount):
  images = jnp.stack([jnp.asarray(picture(16, 16, seed)) for seed in range(3)])
  mapped = jax.jit(jax.vmap(operation, in_axes=(0, None)))(images, amount)
  alone = jnp.stack([operation(image, amount) for image in images])
  chex.assert_trees_all_close(mapped, alone, atol=HUE)


@pytest.mark.parametrize(('operation', 'amount'), OPERATIONS)
def test_bfloat16_is_rounded_float32(operation, amount):
  image = jnp.asarray(picture(16, 16), jnp.bfloat16)
  low = operation(image, amount)
  assert low.dtype == jnp.bfloat16
  # One rounding of the result: half a unit of 8 bits of mantissa below 1.
  chex.assert_trees_all_close(
    low.astype(jnp.float32),
    operation(image.astype(jnp.float32), amount),
    atol=2**-8,
  )


@pytest.mark.parametrize(
  'operation', [color.random_gray, color.random_solarize]
)
def test_happens_with_its_probability(operation):
  image = jnp.asarray(picture(8, 8))
  keys = jax.random.split(jax.random.key(0), 4000)
  images = jax.vmap(lambda key: operation(key, image, prob=0.3))(keys)
  changed = jnp.any(images != image[None], axis=(1, 2, 3))
  # Four standard deviations of a mean of 4000 draws.
  assert abs(float(changed.mean()) - 0.3) < 4 * (0.3 * 0.7 / 4000) ** 0.5
