import jax
import numpy as np
from PIL import Image
import pytest

import jaxssl
from jaxssl import data, models
from jaxssl.augment.preprocessing import usual
from jaxssl.errors import UserError
from jaxssl.weights.exported import ExportedEncoder, save_encoder
from tests.models import timm_reference

SIZE = 16


@pytest.fixture
def exported():
  section = {'name': 'resnet18', 'width': 0.0625, 'stem': 'cifar'}
  encoder = models.make_encoder(**section)
  x = timm_reference.images(SIZE)
  return ExportedEncoder(
    section=section,
    variables=jax.tree.map(
      np.asarray, timm_reference.random_variables(encoder, x)
    ),
    preprocessing=usual(SIZE),
    step=0,
    config_hash='x',
  )


@pytest.fixture
def pictures(tmp_path):
  folder = tmp_path / 'pictures'
  folder.mkdir()
  rng = np.random.default_rng(0)
  for number in range(3):
    pixels = rng.integers(0, 256, (20 + 5 * number, 31, 3), np.uint8)
    Image.fromarray(pixels).save(folder / f'{number}.png')
  return folder


@pytest.mark.parametrize('place', ['a', 'a/export'])
def test_load_gives_the_features_of_the_pipeline(
  place, exported, pictures, tmp_path
):
  save_encoder(tmp_path / 'a' / 'export', exported)
  loaded = jaxssl.load(tmp_path / place)
  images = loaded.preprocess(sorted(pictures.iterdir()))
  assert images.shape == (3, SIZE, SIZE, 3)
  features, _ = loaded.encoder.apply(loaded.variables, images)
  source = data.make_source('folder', path=str(pictures), split='all')
  expected = jaxssl.embed(loaded, source, batch_size=4)
  np.testing.assert_allclose(features, expected.features, rtol=1e-4, atol=1e-5)


def test_load_tells_what_is_not_there(tmp_path):
  with pytest.raises(UserError, match='no encoder in'):
    jaxssl.load(tmp_path)


def test_preprocess_names_what_is_no_picture(exported, pictures, tmp_path):
  loaded = jaxssl.load(save_encoder(tmp_path / 'export', exported))
  (pictures / 'b.png').write_text('no picture')
  with pytest.raises(UserError, match=r'b\.png.*cannot be read'):
    loaded.preprocess([pictures / '0.png', pictures / 'b.png'])
  with pytest.raises(UserError, match='takes a list of files'):
    loaded.preprocess('a.png')
  with pytest.raises(UserError, match='no files'):
    loaded.preprocess([])


def test_unknown_names_of_the_package():
  with pytest.raises(AttributeError, match='nonsense'):
    _ = jaxssl.nonsense
