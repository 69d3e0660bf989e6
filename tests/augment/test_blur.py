import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage, stats

from jaxssl import errors
from jaxssl.augment import blur
from tests.augment.images import picture

# Sums of float32 products in another order.
EXACT = 2e-6


@pytest.mark.parametrize('sigma', [0.1, 0.7, 2.0])
@pytest.mark.parametrize(
  ('border', 'mode'),
  [('zero', 'constant'), ('reflect', 'mirror'), ('edge', 'nearest')],
)
def test_equals_scipy_at_every_border(sigma, border, mode):
  theirs = ndimage.gaussian_filter(
    picture(), (sigma, sigma, 0), mode=mode, radius=6
  )
  ours = blur.gaussian_blur(picture(), sigma, radius=6, border=border)
  chex.assert_trees_all_close(np.asarray(ours), theirs, atol=EXACT)


@pytest.mark.reference
@pytest.mark.parametrize('sigma', [0.1, 2.0])
def test_equals_torchvision(sigma):
  import torch
  from torchvision.transforms.v2 import functional

  planes = torch.tensor(picture()).permute(2, 0, 1)
  theirs = functional.gaussian_blur(planes, [7, 7], [sigma, sigma])
  ours = blur.gaussian_blur(picture(), sigma, radius=3, border='reflect')
  chex.assert_trees_all_close(
    np.asarray(ours), theirs.permute(1, 2, 0).numpy(), atol=EXACT
  )


def test_equals_depthwise_convolution_of_tensorflow():
  import tensorflow as tf

  kernel = np.asarray(blur.gaussian_kernel(1.3, radius=2))
  theirs = tf.constant(picture())[None]
  for shape in ((1, 5, 1, 1), (5, 1, 1, 1)):
    taps = np.tile(kernel.reshape(shape), (1, 1, 3, 1))
    theirs = tf.nn.depthwise_conv2d(theirs, taps, [1, 1, 1, 1], 'SAME')
  ours = blur.gaussian_blur(picture(), 1.3, radius=2)
  chex.assert_trees_all_close(np.asarray(ours), theirs[0].numpy(), atol=EXACT)


def test_resembles_pillow_away_from_the_border():
  from PIL import Image, ImageFilter

  pixels = np.round(picture(48, 40) * 255).astype(np.uint8)[8:]
  theirs = Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(2.0))
  ours = blur.gaussian_blur(
    pixels.astype(np.float32), 2.0, radius=6, border='edge'
  )
  # Pillow approximates the Gaussian by three box blurs in 8 bits, each of
  # which extends the border anew.
  difference = np.abs(np.asarray(ours) - np.asarray(theirs))[7:-7, 7:-7]
  assert difference.max() < 2


def test_batch_of_sigmas_equals_one_by_one():
  images = jnp.stack([jnp.asarray(picture(16, 12, seed)) for seed in range(3)])
  sigmas = jnp.array([0.2, 1.0, 2.0])
  run = lambda image, sigma: blur.gaussian_blur(image, sigma, radius=2)  # noqa: E731
  batched = jax.jit(jax.vmap(run))(images, sigmas)
  alone = jnp.stack([run(i, s) for i, s in zip(images, sigmas, strict=True)])
  chex.assert_trees_all_close(batched, alone, atol=EXACT)


def test_bfloat16_is_rounded_float32():
  image = jnp.asarray(picture(16, 16), jnp.bfloat16)
  low = blur.gaussian_blur(image, 1.0, radius=2)
  assert low.dtype == jnp.bfloat16
  exact = blur.gaussian_blur(image.astype(jnp.float32), 1.0, radius=2)
  chex.assert_trees_all_close(low.astype(jnp.float32), exact, atol=2**-8)


def test_random_sigma_is_uniform_where_it_blurs():
  # The blurred height of one bright pixel tells sigma.
  image = jnp.zeros((7, 7, 3)).at[3, 3].set(1.0)
  keys = jax.random.split(jax.random.key(0), 2000)
  run = lambda key: blur.random_gaussian_blur(key, image, radius=3)[3, 3, 0]  # noqa: E731
  peaks = np.asarray(jax.jit(jax.vmap(run))(keys))
  grid = np.linspace(0.1, 2.0, 4001)
  kernel = jax.vmap(lambda s: blur.gaussian_kernel(s, radius=3)[3] ** 2)
  heights = np.asarray(kernel(jnp.asarray(grid, jnp.float32)))
  # Below a sigma of 0.3 the pixel keeps its height to 1 % and sigma is lost.
  blurred = peaks[peaks < np.interp(0.3, grid, heights)]
  expected = 0.5 * 1.7 / 1.9
  spread = (expected * (1 - expected) / 2000) ** 0.5
  assert abs(len(blurred) / 2000 - expected) < 4 * spread
  sigmas = np.interp(-blurred, -heights, grid)
  assert stats.kstest(sigmas, 'uniform', (0.3, 1.7)).pvalue > 1e-3


def test_unknown_border_is_the_users_error():
  with pytest.raises(errors.UserError, match='reflect'):
    blur.gaussian_blur(picture(), 1.0, radius=1, border='mirror')
