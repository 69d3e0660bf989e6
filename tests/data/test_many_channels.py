"""The sources whose pictures may have any channels: one decoder for all."""

import numpy as np
import pytest

from jaxssl import data
from jaxssl.augment.bands import Bands
from jaxssl.augment.crop_spec import CropSpec
from jaxssl.augment.preprocessing import usual
from jaxssl.data import crop
from jaxssl.errors import UserError
from tests.data import pairs, rasters

BANDS = Bands(channels=5)
CROPS = (CropSpec(size=8), CropSpec(size=6, scale=(0.5, 1.0)))
COUNT = 5


def _files(folder):
  for number in range(COUNT):
    content = rasters.tiff(rasters.pixels(number))
    (folder / f'{number}.tif').write_bytes(content)
  return dict(name=str(folder))


def _tar(folder):
  members = [
    member
    for number in range(COUNT)
    for member in (
      (f'{number}.tif', rasters.tiff(rasters.pixels(number))),
      (f'{number}.txt', b'a text'),
    )
  ]
  return dict(name=str(pairs.write_tar(folder / 'p.tar', members)))


def _table(folder):
  _files(folder)
  lines = [f'{number}.tif,a text' for number in range(COUNT)]
  (folder / 'p.csv').write_text('\n'.join(['image,caption', *lines]))
  return dict(name=str(folder / 'p.csv'))


def _tfrecord(folder):
  records = [
    {
      'image': rasters.tiff(rasters.pixels(number)),
      'caption': b'a text',
      'key': b'%d' % number,
    }
    for number in range(COUNT)
  ]
  pairs.write_tfrecord(folder / 'p.tfrecord', records)
  return dict(name=str(folder / 'p.tfrecord'))


SOURCES = {
  'folder': _files,
  'tar': _tar,
  'table': _table,
  'tfrecord': _tfrecord,
}


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
  folder = tmp_path_factory.mktemp('cache')
  monkeypatch.setenv('XDG_CACHE_HOME', str(folder))


@pytest.mark.parametrize('kind', SOURCES)
def test_every_source_of_files_gives_channels_as_stored(kind, tmp_path):
  source = data.make_source(**SOURCES[kind](tmp_path), split='all')
  rule = usual(12, channels=5)
  (batch,) = data.eval_batches(source, batch_size=COUNT, preprocessing=rule)
  assert batch['image'].shape == (COUNT, 12, 12, 5)
  assert batch['image'].dtype == np.uint16
  for number, image in zip(
    batch['index'].tolist(), batch['image'], strict=True
  ):
    wanted = crop.prepare(rasters.pixels(number), rule)
    np.testing.assert_array_equal(image, wanted)


def test_training_batches_are_the_same_after_a_resume(tmp_path):
  source = data.make_source(**_files(tmp_path))
  make = lambda step: data.train_batches(  # noqa: E731
    source, batch_size=4, seed=3, first_step=step, crops=CROPS, bands=BANDS
  )
  first, second = [next(batches) for batches in [make(0)] for _ in range(2)]
  again = next(make(1))
  assert [c.shape for c in first['crops']] == [(4, 8, 8, 5), (4, 6, 6, 5)]
  for one, other in zip(second['crops'], again['crops'], strict=True):
    assert one.dtype == np.uint16
    np.testing.assert_array_equal(one, other)


def test_a_picture_of_other_channels_is_counted_named_and_replaced(tmp_path):
  section = _files(tmp_path)
  (tmp_path / '9.png').write_bytes(pairs.picture(1))
  source = data.make_source(**section)
  bad = {}
  options = dict(batch_size=12, seed=0, crops=CROPS, bands=BANDS)
  batches = data.train_batches(source, **options, on_bad=bad.__setitem__)
  batch = next(batches)
  assert batches.bad == 1
  assert bad == {str(tmp_path / '9.png'): 'it has 3 channels, not 5'}
  assert COUNT not in batch['index']
  with pytest.raises(UserError, match='it has 3 channels, not 5'):
    next(data.train_batches(source, **options, strict=True))


def test_without_channels_such_files_say_what_reads_them(tmp_path):
  source = data.make_source(**_files(tmp_path))
  bad = {}
  batches = data.train_batches(
    source, batch_size=2, seed=0, crops=CROPS, on_bad=bad.__setitem__
  )
  with pytest.raises(UserError):
    next(batches)
  assert all('config.input.channels reads it' in why for why in bad.values())


def test_pixels_in_memory_are_refused():
  with pytest.raises(UserError, match='holds 8-bit RGB pixels'):
    data.train_batches(
      data.make_source('digits'), batch_size=2, seed=0, crops=CROPS, bands=BANDS
    )


def test_resizing_is_pillows_on_each_channel():
  """Of 8-bit values, within the rounding that Pillow does between passes."""
  rng = np.random.default_rng(0)
  small = rng.integers(0, 256, (40, 30, 3), np.uint8)
  large = small.astype(np.uint16) * 257
  deep, shallow = (
    crop.resize(x, 16, interpolation='bilinear') for x in (large, small)
  )
  assert np.abs(deep / 257 - shallow.astype(float)).max() <= 1.0
