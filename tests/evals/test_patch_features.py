import jax
import numpy as np
import pytest

from jaxssl import models
from jaxssl.augment.preprocessing import usual
from jaxssl.data.dense import Pictures
from jaxssl.data.shapes import Shapes
from jaxssl.errors import UserError
from jaxssl.evals import features, patch_features
from jaxssl.evals.correspondence import Correspondence
from jaxssl.evals.patch_features import PatchEncoder
from jaxssl.weights.exported import abstract_variables


@pytest.mark.parametrize(
  ('section', 'size', 'layer', 'stride'),
  [
    (dict(name='vit_ti14', depth=1, num_registers=2), 56, 'block00', 14),
    (dict(name='resnet18', width=0.125), 100, None, 32),
    (dict(name='resnet18', width=0.125), 100, 'stage2', 8),
    (dict(name='convnext_t', blocks=(1, 1, 1, 1), width=8), 96, 'stage3', 16),
  ],
)
def test_pixels_between_neighbouring_patches(section, size, layer, stride):
  encoder = models.make_encoder(**section)
  variables = abstract_variables(encoder, size)
  found = patch_features.stride_of(encoder, variables, usual(size), layer)
  assert found == stride


def test_windows_are_of_whole_patches():
  assert patch_features.window_of(100, 32) == 96
  assert patch_features.window_of(518, 14) == 518
  with pytest.raises(UserError, match='no whole patch of 16'):
    patch_features.window_of(15, 16)


def test_batches_are_filled_and_the_filling_is_dropped():
  seen = []

  def encode(images):
    seen.append(len(images))
    return images.sum(axis=(1, 2, 3))

  windows = (np.full((2, 2, 3), number, np.uint8) for number in range(7))
  found = patch_features.in_batches(encode, windows, batch_size=3)
  assert [int(value) for value in found] == [12 * n for n in range(7)]
  assert seen == [3, 3, 3]


def test_raw_colours_are_the_pixels_of_a_patch():
  images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)
  found = np.asarray(patch_features.raw_colors(4)(images))
  assert found.shape == (2, 2, 2, 48)
  patch = images[1, :4, 4:].reshape(-1) / 255
  np.testing.assert_allclose(found[1, 0, 1], patch, rtol=1e-6)


def _map_of_a_resnet(**section):
  encoder = models.make_encoder('resnet18', width=0.125, **section)
  variables = jax.jit(encoder.init)(
    jax.random.key(0), np.zeros((1, 32, 32, 3), np.float32)
  )
  return features.encode_fn(encoder, variables, _unit, spatial=True)


def _unit(images):
  return images.astype(np.float32) / 255


def test_places_of_a_convolutional_encoder_are_patches():
  encode = _map_of_a_resnet(stem='cifar')
  patches = PatchEncoder(encode=encode, size=32, stride=8)
  pictures = Pictures(source=Shapes(size=32, count=4), kind=None)
  still = Correspondence(rotation=0.0, zoom=1.0, shift=0.0)
  metrics = still.run(patches, pictures)
  assert metrics['pck'] == 1
  assert metrics['num_patches'] == 4 * 16


def test_features_that_are_not_finite_are_refused():
  broken = PatchEncoder(
    encode=lambda x: np.full((len(x), 2, 2, 3), np.nan), size=8, stride=4
  )
  with pytest.raises(UserError, match='patch features'):
    broken(np.zeros((2, 8, 8, 3), np.uint8))
