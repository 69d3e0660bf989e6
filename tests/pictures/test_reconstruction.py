import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.augment.channel_statistics import IMAGENET_MEAN, IMAGENET_STD
from jaxssl.augment.view import Augment
from jaxssl.pictures import reconstruction
from jaxssl.weights.codebook import load_codebook
from jaxssl.weights.exported import load_encoder, save_encoder
from tests import tiny_methods, tiny_tokenizer

PLAIN = Augment(views=())
NORMALIZED = Augment(views=(), mean=IMAGENET_MEAN, std=IMAGENET_STD)
PATCH, ROWS = 8, 2


@pytest.fixture(scope='module')
def images():
  shape = (ROWS, 32, 32, 3)
  return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def _init(method, images, augment):
  batch = {'views': (augment.normalize(jnp.asarray(images)),)}
  return jax.jit(method.init)(jax.random.key(0), batch)


def _patches(images):
  """[n, H, W, 3] -> [n, N, p p 3]."""
  n = images.shape[1] // PATCH
  cut = images.reshape(ROWS, n, PATCH, n, PATCH, 3).transpose(0, 1, 3, 2, 4, 5)
  return cut.reshape(ROWS, n * n, -1)


def test_mae_keeps_visible_patches_and_predicts_the_rest(images):
  method = tiny_methods.make('mae', _vit('mae'))
  params, state = _init(method, images, NORMALIZED)
  panel = reconstruction.mae_panel(method, params, state, images, NORMALIZED)
  image, visible, pasted, means = (_patches(c.images) for c in panel.columns)
  hidden = (visible == 128).all(axis=-1)
  np.testing.assert_array_equal(hidden.sum(axis=1), [12, 12])
  np.testing.assert_array_equal(pasted[~hidden], image[~hidden])
  assert (pasted[hidden] != image[hidden]).any(axis=-1).all()
  np.testing.assert_array_equal(means[~hidden], image[~hidden])
  flat = means[hidden].reshape(-1, 64, 3)
  assert not np.ptp(flat, axis=1).any()
  true = image[hidden].reshape(-1, 64, 3).mean(1)
  np.testing.assert_allclose(flat[:, 0], true, atol=1)
  # Each predicted patch has the mean of the true one; both are rounded, and
  # pixels outside of [0, 255] are clipped.
  means = [x.reshape(-1, 64, 3).mean((1, 2)) for x in (pasted, image)]
  np.testing.assert_allclose(*means, atol=40)
  assert 'its true patch' in panel.text


def test_mae_prediction_of_the_target_gives_the_image_back(images):
  method = tiny_methods.make('mae', _vit('mae'))
  x = NORMALIZED.normalize(jnp.asarray(images))
  back = method.to_pixels(method.target(x), x)
  # float32 there and back.
  np.testing.assert_allclose(back, _patches(np.asarray(x)), atol=1e-5)


def _vit(name):
  return tiny_methods.vit(name, patch_size=PATCH, depth=1)


def test_beit_without_a_decoder_says_so(images):
  method = tiny_methods.make('beit', _vit('beit'))
  params, state = _init(method, images, NORMALIZED)
  panel = reconstruction.beit_panel(method, params, state, images, NORMALIZED)
  assert [c.title for c in panel.columns] == ['image', 'visible']
  assert 'no decoder' in panel.text


def test_beit_draws_codes_through_the_decoder(images, tmp_path):
  plain = load_encoder(tiny_tokenizer.tiny_tokenizer())
  tokenizer = tiny_methods.make('dvae', plain.encoder)
  shape = (1, 4, 4, tiny_tokenizer.VOCABULARY)
  decoder = jax.jit(tokenizer.decoder.init)(jax.random.key(1), jnp.zeros(shape))
  with_decoder = dataclasses.replace(plain, towers={'decoder': decoder})
  codebook = load_codebook(save_encoder(tmp_path, with_decoder))
  method = tiny_methods.make('beit', _vit('beit'), tokenizer=codebook)
  params, state = _init(method, images, NORMALIZED)
  panel = reconstruction.beit_panel(method, params, state, images, NORMALIZED)
  _, _, predicted, true = (c.images for c in panel.columns)
  codes = jax.jit(method.codes)(state['tokenizer'], jnp.asarray(images) / 255)
  decoded = jax.jit(tokenizer.decode)(
    {'decoder': decoder['params']}, codes.reshape(ROWS, 4, 4)
  )
  # One step of 8 bits where two compilations round apart.
  np.testing.assert_allclose(true, np.round(decoded * 255), atol=1)
  assert predicted.shape == true.shape


def test_dvae_shows_its_reconstruction(images):
  method = tiny_methods.make('dvae')
  params, state = _init(method, images, PLAIN)
  panel = reconstruction.dvae_panel(method, params, state, images, PLAIN)
  # Compiled once: the same function of the same shapes as in the panel.
  wanted = jax.jit(method.reconstruct)(params, jnp.asarray(images) / 255)
  np.testing.assert_allclose(
    panel.columns[1].images, np.round(wanted * 255), atol=1
  )


def test_colorization_stands_between_gray_and_truth(images):
  method = tiny_methods.make('colorization')
  params, state = _init(method, images, PLAIN)
  panel = reconstruction.colorization_panel(
    method, params, state, images, PLAIN
  )
  gray, colored, truth = (c.images for c in panel.columns)
  np.testing.assert_array_equal(truth, images)
  # The matrices of sRGB give gray up to their digits.
  assert np.ptp(gray.astype(int), axis=-1).max() <= 1
  assert colored.shape == images.shape
