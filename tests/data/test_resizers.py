"""The fast resizer of training crops, against Pillow."""

import sys

import numpy as np
from PIL import Image
import pytest

from jaxssl import data
from jaxssl.augment.bands import make_bands
from jaxssl.augment.crop_spec import CropSpec
from jaxssl.data import crop, resizers
from jaxssl.errors import UserError
from jaxssl.train.workdir import fixed_part


def _photograph():
  from skimage import data as pictures

  return np.asarray(Image.fromarray(pictures.astronaut()).resize((250, 188)))


def _rows_then_columns(pixels, size, interpolation):
  # Pillow 13 chooses the order by the shape; one axis at a time it cannot.
  kernel = Image.Resampling[interpolation.upper()]
  rows = Image.fromarray(pixels).resize((size, pixels.shape[0]), kernel)
  return np.asarray(rows.resize((size, size), kernel))


@pytest.mark.parametrize(
  ('interpolation', 'most'), [('bilinear', 1), ('bicubic', 2)]
)
def test_crops_are_those_of_pillow_but_for_rounding(interpolation, most):
  pytest.importorskip('cykooz_resizer')
  picture = _photograph()
  draws = np.random.default_rng(0)
  for size in (32, 112, 224):
    for _ in range(8):
      height, width = draws.integers(40, 180, 2)
      top, left = (
        draws.integers(0, 188 - height),
        draws.integers(0, 250 - width),
      )
      # Not contiguous, as crops of a window are.
      part = picture[top : top + height, left : left + width]
      ours = resizers.cykooz(part, size, interpolation=interpolation)
      pillow = _rows_then_columns(part, size, interpolation)
      off = np.abs(ours.astype(int) - pillow)
      assert off.max() <= most
      assert (off > 0).mean() < 0.02


def test_strips_are_turned():
  pytest.importorskip('cykooz_resizer')
  strip = np.random.default_rng(0).integers(0, 256, (170, 10, 3), np.uint8)
  ours = crop.resize(strip, 32, interpolation='bilinear', resizer='cykooz')
  pillow = crop.resize(strip, 32, interpolation='bilinear')
  assert np.abs(ours.astype(int) - pillow).max() <= 2  # of noise


def test_batches_are_resized_by_what_is_asked_for():
  pytest.importorskip('cykooz_resizer')
  picture = _photograph()
  source = data.Arrays(picture[None, :180, :180])
  crops = (CropSpec(size=32), CropSpec(size=48, interpolation='bicubic'))

  def batch(**options):
    batches = data.train_batches(
      source, batch_size=4, seed=0, crops=crops, **options
    )
    taken = next(batches)['crops']
    batches.close()
    return taken

  for fast, pillow in zip(batch(resizer='cykooz'), batch(), strict=True):
    assert (fast != pillow).any()
    assert np.abs(fast.astype(int) - pillow).mean() < 0.05


@pytest.fixture
def absent(monkeypatch):
  monkeypatch.setitem(sys.modules, 'cykooz_resizer', None)


def test_what_is_not_installed_is_told(absent):
  resizers.check('pillow', None)
  source = data.Arrays(np.zeros((2, 8, 8, 3), np.uint8))
  with pytest.raises(UserError, match=r'pip install "jaxssl\[resize\]"'):
    data.train_batches(
      source,
      batch_size=2,
      seed=0,
      crops=(CropSpec(size=4),),
      resizer='cykooz',
    )


def test_other_channels_are_refused():
  with pytest.raises(UserError, match='not pictures of 5 channels'):
    resizers.check('cykooz', make_bands(5, None))


def test_a_run_keeps_its_resizer():
  one, other = ({'input': {'resizer': name}} for name in ('pillow', 'cykooz'))
  assert fixed_part(one) != fixed_part(other)
