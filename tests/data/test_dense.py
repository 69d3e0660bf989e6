import itertools
import threading

import numpy as np
from PIL import Image
import pytest

from jaxssl.data import dense
from jaxssl.data.arrays import Arrays
from jaxssl.data.decode import UnreadableError
from jaxssl.data.shapes import Shapes
from jaxssl.data.targets import Computed
from jaxssl.errors import UserError


class Stored:
  """Pictures of one colour each, their numbers as masks; some are broken."""

  def __init__(self, count=10, broken=(), shape=(8, 12)):
    values = np.arange(count, dtype=np.uint8)
    images = np.broadcast_to(values[:, None, None, None], (count, 8, 12, 3))
    self._source = Arrays(np.ascontiguousarray(images))
    self._broken, self._shape = broken, shape
    self.targets = {'mask': Computed(self._mask, ('a', 'b'))}

  def __getattr__(self, name):
    return getattr(self._source, name)

  def _mask(self, index):
    if index in self._broken:
      raise UnreadableError('broken')
    return np.full(self._shape, index % 2, np.int32)


def test_every_picture_comes_once_with_its_target():
  pictures = dense.Pictures(source=Stored(), kind='mask')
  found = list(pictures)
  assert [example.index for example in found] == list(range(10))
  for example in found:
    assert (example.image == example.index).all()
    assert (example.target == example.index % 2).all()


def test_a_limit_is_spread_evenly():
  pictures = dense.Pictures(source=Stored(), kind='mask', limit=4)
  assert [example.index for example in pictures] == [0, 2, 5, 7]
  assert len(pictures) == 4


def test_what_cannot_be_read_is_left_out_named_and_counted(caplog):
  pictures = dense.Pictures(source=Stored(broken=(3, 4)), kind='mask')
  for _ in range(2):
    assert len(list(pictures)) == 8
  assert pictures.faults.count == 2
  assert caplog.text.count('cannot be read (broken)') == 2
  assert len(list(pictures.only_targets())) == 8


def test_a_target_of_another_shape_is_left_out(caplog):
  turned = dense.Pictures(source=Stored(shape=(12, 8)), kind='mask')
  assert not list(turned)
  assert 'its mask of 12 x 8 pixels has another shape' in caplog.text
  smaller = dense.Pictures(source=Stored(shape=(4, 6)), kind='mask')
  assert len(list(smaller)) == 10
  with pytest.raises(UserError, match='not one picture can be read'):
    next(turned.endless(0))


def test_epochs_are_shuffled_and_each_is_whole():
  pictures = dense.Pictures(source=Stored(), kind='mask')
  found = list(itertools.islice(pictures.endless(3), 30))
  epochs = [
    [example.index for epoch, example in found if epoch == number]
    for number in range(3)
  ]
  assert [sorted(epoch) for epoch in epochs] == [list(range(10))] * 3
  assert epochs[0] != epochs[1]


def test_threads_read_ahead_only_so_far():
  begun, gate = [], threading.Event()

  def read(item):
    begun.append(item)
    gate.wait(5)
    return -item

  found = dense.ahead(read, itertools.count())
  gate.set()
  assert list(itertools.islice(found, 50)) == [(i, -i) for i in range(50)]
  assert max(begun) < 50 + 4 * 64


@pytest.mark.parametrize(('old', 'new'), [(7, 14), (12, 4), (9, 6), (5, 5)])
def test_targets_are_resized_as_pillow_takes_the_nearest(old, new):
  values = np.random.default_rng(0).integers(0, 9, (old, old + 2), np.int32)
  image = Image.fromarray(values)
  size = new, new + 3
  expected = np.asarray(image.resize(size[::-1], Image.Resampling.NEAREST))
  np.testing.assert_array_equal(dense.resize_target(values, size), expected)


def test_windows_cut_picture_and_target_alike():
  ramp = np.arange(40 * 60, dtype=np.int32).reshape(40, 60)
  colors = np.stack([ramp // 60, ramp % 60, ramp * 0], -1).astype(np.uint8)
  example = dense.Example(7, colors, ramp)
  windows = dense.Windows(size=16, side=40)
  corners, mirrored = set(), 0
  for number in range(40):
    cut = windows.cut(example, (0, number))
    assert cut.image.shape == (16, 16, 3)
    rows, columns, _ = cut.image.astype(int).transpose(2, 0, 1)
    np.testing.assert_array_equal(cut.target, rows * 60 + columns)
    mirrored += columns[0, 0] > columns[0, -1]
    corners.add((rows[0, 0], columns.min()))
  assert len(corners) > 30
  assert 8 < mirrored < 32
  np.testing.assert_array_equal(
    windows.cut(example, (0, 5)).target, windows.cut(example, (0, 5)).target
  )


def test_small_pictures_are_padded_and_nothing_is_known_there():
  image = np.full((20, 30, 3), 9, np.uint8)
  for target in (np.ones((20, 30), np.int32), np.ones((20, 30), np.float32)):
    cut = dense.Windows(size=16, side=16, scale=(0.5, 0.5), flip=False).cut(
      dense.Example(0, image, target), (0,)
    )
    assert (cut.image[:8, :12] == 9).all()
    assert not cut.image[8:].any()
    known = cut.target[:8, :12]
    np.testing.assert_array_equal(known, 1)
    outside = dense.unknown(cut.target)
    np.testing.assert_array_equal(cut.target[8:], outside)


def test_sizes_of_resized_pictures():
  assert dense.sides((30, 50, 3), 16, 'shortest') == (16, 26)
  assert dense.sides((30, 50, 3), 16, 'squash') == (16, 16)
  assert dense.side_of(None, 32) == 32
  with pytest.raises(UserError, match='--side is 16'):
    dense.side_of(16, 32)


def test_batches_of_windows():
  pictures = dense.Pictures(source=Shapes(size=32, count=3), kind='depth')
  batches = dense.window_batches(
    pictures, dense.Windows(size=16, side=32), batch_size=4, seed=0
  )
  images, targets = next(batches)
  assert images.shape == (4, 16, 16, 3)
  assert targets.shape == (4, 16, 16)
  assert targets.dtype == np.float32
