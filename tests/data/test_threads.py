"""Batches without TensorFlow, against those of its graph."""

import threading
import time

import chex
import numpy as np
import pytest

from jaxssl import data
from jaxssl.augment.crop_spec import CropSpec
from jaxssl.augment.preprocessing import usual
from jaxssl.data import optional, order
from jaxssl.data.limited import Limited
from jaxssl.data.rows import Faults, Plan
from jaxssl.data.stream import Reader
from jaxssl.data.subset import Subset
from jaxssl.data.threads import ThreadReader, suits
from jaxssl.errors import UserError

BATCH = 4
PATIENCE = 60  # seconds; only what hangs needs them


def _arrays():
  pixels = np.random.default_rng(0).integers(0, 256, (7, 8, 8, 3), np.uint8)
  return data.Arrays(
    pixels, np.arange(7), captions=[[f'p{i}'] for i in 'abcdefg']
  )


SOURCES = {
  'arrays': _arrays,
  'photos': lambda: data.make_source('photos', crops_per_picture=1),
  'digits': lambda: data.make_source('digits', size=8),
  'shapes': lambda: data.make_source('shapes', size=16, count=7),
  'collages': lambda: data.make_source('collages', size=16, count=7),
  'motorcycle': lambda: data.make_source('motorcycle', size=16, count=7),
  'limited': lambda: Limited(_arrays(), 5),
  'subset': lambda: Subset(_arrays(), np.array([4, 0, 6])),
}


def _encode(texts):
  return np.array([[ord(text[1])] for text in texts], np.int32)


def _read(make, plan, steps, **options):
  reader = make(
    plan,
    lambda step: order.rows_of(step, batch_size=BATCH),
    first_step=1,
    last_step=1 + steps,
    prefetch=2,
    num_threads=2,
    **options,
  )
  rows = [reader.read() for _ in range(steps)]
  reader.close()
  return rows


@pytest.mark.parametrize('name', SOURCES)
def test_rows_are_those_of_the_graph(name):
  source = SOURCES[name]()
  # As stored, and resized.
  for rule in (None, usual(12, crop_fraction=1.0)):
    plan = Plan(
      source=source,
      locate=lambda p: source.locate(p, seed=3),
      preprocessing=rule,
      encode_text=_encode if name == 'arrays' else None,
    )
    graph = _read(Reader, plan, 3, faults=Faults(source), replace=True)
    rows = _read(ThreadReader, plan, 3)
    chex.assert_trees_all_equal(rows, graph)
    chex.assert_trees_all_equal_dtypes(rows, graph)
    assert rows[0]['pictures'][0].any()


@pytest.fixture
def no_tensorflow(monkeypatch):
  def refuse(module, *, extra):
    assert module != 'tensorflow'
    return require(module, extra=extra)

  require = optional.require
  monkeypatch.setattr(optional, 'require', refuse)


def test_whole_pixels_need_no_tensorflow(no_tensorflow):
  source = _arrays()
  batches = data.train_batches(source, batch_size=4, seed=0, image_size=8)
  assert next(batches)['image'].shape == (4, 8, 8, 3)
  batches.close()
  (batch,) = data.eval_batches(source, batch_size=8, image_size=6)
  assert batch['mask'].tolist() == [True] * 7 + [False]
  crops = (CropSpec(size=4),)
  batches = data.train_batches(source, batch_size=4, seed=0, crops=crops)
  with pytest.raises(AssertionError):  # draws boxes in its graph
    next(batches)


def test_files_and_crops_are_for_the_graph(tmp_path):
  pixels = Plan(source=_arrays(), locate=lambda p: (p, p))
  assert suits(pixels)
  mixture = data.Mixture([_arrays(), _arrays()])
  assert not suits(Plan(source=mixture, locate=mixture.locate))


def test_batches_are_read_ahead_and_no_further():
  asked = []
  source = _arrays()

  def positions(step):
    asked.append(step)
    return np.arange(2)

  plan = Plan(source=source, locate=lambda p: (p, p))
  reader = ThreadReader(
    plan, positions, first_step=5, last_step=9, prefetch=2, num_threads=1
  )
  before = threading.active_count()
  reader.read()
  reader.close()
  _wait_for_threads(before)
  assert asked[0] == 5
  assert set(asked) <= {5, 6, 7}


def test_a_fetch_that_hangs_is_not_waited_for():
  hangs, goes_on = threading.Event(), threading.Event()

  def locate(positions):
    if positions[0] == 1:
      hangs.set()
      goes_on.wait()
    return positions, positions

  plan = Plan(source=_arrays(), locate=locate)
  before = threading.active_count()
  reader = ThreadReader(
    plan,
    lambda step: np.array([step]),
    first_step=0,
    last_step=3,
    prefetch=2,
    num_threads=1,
  )
  reader.read()
  assert hangs.wait(PATIENCE)
  reader.close()
  assert not goes_on.is_set()
  goes_on.set()
  _wait_for_threads(before)


def _wait_for_threads(count):
  """Waits until there are no more threads than that."""
  end = time.monotonic() + PATIENCE
  while threading.active_count() > count:
    assert time.monotonic() < end
    time.sleep(0.01)


def test_what_a_source_raises_is_raised_where_it_is_read():
  def fail(positions):
    raise UserError('no such record')

  plan = Plan(source=_arrays(), locate=fail)
  with pytest.raises(UserError, match='no such record'):
    _read(ThreadReader, plan, 1)
