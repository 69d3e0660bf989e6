"""Which channels pictures have, and their mean and deviation."""

import numpy as np
import pytest

from jaxssl import data
from jaxssl.data import measured
from jaxssl.errors import UserError
from tests.data import pairs, rasters


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  folder = tmp_path_factory.mktemp('rasters')
  for number in range(6):
    content = rasters.tiff(rasters.pixels(number))
    (folder / f'{number}.tif').write_bytes(content)
  return folder


def test_mean_and_deviation_are_those_of_all_pictures_alike(folder):
  source = data.make_source(str(folder), split='all')
  assert measured.recognise(source) == 5
  found = measured.measure(source, 5, (0.0, 4095.0))
  shares = [rasters.pixels(n).reshape(-1, 5) / 4095 for n in range(6)]
  mean = np.mean([x.mean(0) for x in shares], axis=0)
  square = np.mean([(x**2).mean(0) for x in shares], axis=0)
  # Shares are stored in steps of 1 / 65535, and six digits are kept.
  np.testing.assert_allclose(found.mean, mean, atol=1e-5)
  np.testing.assert_allclose(found.std, np.sqrt(square - mean**2), atol=1e-5)
  assert found.count == 6


def test_pictures_of_several_kinds_stay_8_bit_rgb(folder, tmp_path):
  for file in folder.iterdir():
    (tmp_path / file.name).write_bytes(file.read_bytes())
  (tmp_path / '9.png').write_bytes(pairs.picture(1))
  source = data.make_source(str(tmp_path), split='all')
  assert measured.recognise(source) is None
  assert measured.recognise(data.make_source('digits')) is None
  found = measured.measure(source, 5, None)
  assert found.count == 6
  with pytest.raises(UserError, match='it has 5 channels, not 4'):
    measured.measure(data.make_source(str(folder)), 4, None)
