import chex
import jax
import numpy as np
from PIL import Image
import pytest

from jaxssl import data
from jaxssl.augment.crop_spec import CropSpec
from jaxssl.augment.preprocessing import usual
from jaxssl.data import crop, stream, threads
from jaxssl.errors import UserError

CROPS = (
  CropSpec(size=8),
  CropSpec(size=6, rule='tf', interpolation='bicubic'),
)


@pytest.fixture(scope='module')
def pixels():
  draws = np.random.default_rng(0)
  images = draws.integers(0, 256, (10, 16, 16, 3), np.uint8)
  return data.Arrays(images, np.arange(10))


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  root = tmp_path_factory.mktemp('pictures')
  draws = np.random.default_rng(0)
  for number in range(12):
    # Of several sizes, and smooth, so that JPEG keeps them.
    coarse = draws.integers(0, 256, (3, 4, 3), np.uint8)
    image = Image.fromarray(coarse).resize((30 + number, 20))
    image.save(root / f'{number:02}.jpg', quality=90)
  return root


def _take(batches, count):
  taken = [next(batches) for _ in range(count)]
  batches.close()
  return taken


def test_resume_and_processes_with_crops_of_the_host(pixels, folder):
  # Whole pictures: `test_every_source.py`.
  options = dict(batch_size=4, seed=1, crops=CROPS)
  for source in (pixels, data.make_source(str(folder))):
    straight = _take(data.train_batches(source, **options), 5)
    for step in (1, 4):
      resumed = data.train_batches(source, first_step=step, **options)
      chex.assert_trees_all_equal(_take(resumed, 1)[0], straight[step])
    halves = [
      data.train_batches(source, process_index=i, process_count=2, **options)
      for i in range(2)
    ]
    parts = [_take(half, 1)[0] for half in halves]
    joined = jax.tree.map(lambda *x: np.concatenate(x), *parts)
    chex.assert_trees_all_equal(joined, straight[0])


def test_batch_may_be_larger_than_the_source(pixels):
  (batch,) = _take(data.train_batches(pixels, batch_size=25, seed=0), 1)
  counts = np.bincount(batch['index'], minlength=10)
  assert set(counts.tolist()) <= {2, 3}
  np.testing.assert_array_equal(batch['label'], batch['index'])
  stored = pixels.fetch(batch['index']).content
  np.testing.assert_array_equal(batch['image'], stored)


def test_crops_of_one_record_change_with_epoch_and_view(pixels):
  crops = (CropSpec(size=8), CropSpec(size=8))
  first, second = _take(
    data.train_batches(pixels, batch_size=10, seed=0, crops=crops), 2
  )
  order = [np.argsort(batch['index']) for batch in (first, second)]
  views = [
    first['crops'][0][order[0]],
    first['crops'][1][order[0]],
    second['crops'][0][order[1]],
  ]
  for one, other in ((0, 1), (0, 2)):
    different = (views[one] != views[other]).any(axis=(1, 2, 3))
    assert different.sum() >= 9


def test_whole_pictures_are_what_pillow_makes(folder):
  source = data.make_source(str(folder))
  (batch,) = data.eval_batches(
    source, batch_size=12, preprocessing=usual(14, crop_fraction=0.875)
  )
  for number in range(12):
    with Image.open(source.describe(number)) as image:
      width = 16 * image.width // image.height
      resized = image.convert('RGB').resize((width, 16), Image.BICUBIC)
    left = round((width - 14) / 2)
    expected = np.asarray(resized)[1:15, left : left + 14]
    np.testing.assert_array_equal(batch['image'][number], expected)


def test_eval_pads_the_last_batch(pixels):
  batches = list(
    data.eval_batches(pixels, batch_size=4, preprocessing=usual(16))
  )
  assert [batch['mask'].tolist() for batch in batches] == [
    [True] * 4,
    [True] * 4,
    [True, True, False, False],
  ]
  index = np.concatenate([batch['index'] for batch in batches])
  assert index.tolist() == [*range(10), -1, -1]
  assert batches[-1]['label'].tolist() == [8, 9, -1, -1]


@pytest.mark.parametrize('taken', [3, 1])
def test_eval_stops_its_threads(taken, pixels, folder, monkeypatch):
  closed = []
  for reader in (stream.Reader, threads.ThreadReader):

    def close(self, close=reader.close):
      closed.append(self)
      close(self)

    monkeypatch.setattr(reader, 'close', close)
  for source in (pixels, data.make_source(str(folder))):
    batches = data.eval_batches(source, batch_size=4, preprocessing=usual(16))
    if taken == 3:
      assert len(list(batches)) == taken
    else:
      next(batches)
    del batches
  assert [type(reader) for reader in closed] == [
    threads.ThreadReader,
    stream.Reader,
  ]


def test_eval_limit_is_spread_over_the_source(pixels):
  (batch,) = data.eval_batches(
    pixels, batch_size=5, preprocessing=usual(16), limit=5
  )
  assert batch['index'].tolist() == [0, 2, 4, 6, 8]


@pytest.fixture
def damaged(tmp_path, folder):
  """Twelve pictures; number 3 is cut short, 4 is text, 7 is too large."""
  for path in folder.iterdir():
    (tmp_path / path.name).write_bytes(path.read_bytes())
  whole = (tmp_path / '03.jpg').read_bytes()
  (tmp_path / '03.jpg').write_bytes(whole[: len(whole) // 2])
  (tmp_path / '04.jpg').write_bytes(b'text')
  Image.new('RGB', (100, 100)).save(tmp_path / '07.jpg')
  return data.make_source(str(tmp_path))


@pytest.mark.parametrize('crops', [None, CROPS[:1]])
def test_bad_records_are_named_once_and_replaced_by_the_next(damaged, crops):
  told = []
  options = dict(
    batch_size=6, seed=2, crops=crops, image_size=12, max_pixels=5000
  )
  batches = data.train_batches(
    damaged, on_bad=lambda name, why: told.append((name, why)), **options
  )
  taken = _take(batches, 6)
  names = sorted(name[-6:] for name, _ in told)
  assert names == ['03.jpg', '04.jpg', '07.jpg']
  assert batches.bad == 3
  assert any('max_pixels=5000' in why for _, why in told)
  index = np.concatenate([batch['index'] for batch in taken]).reshape(3, 12)
  expected = [0, 1, 2, 5, 5, 5, 6, 8, 8, 9, 10, 11]
  np.testing.assert_array_equal(np.sort(index), [expected] * 3)
  # A run that resumes knows of no bad record yet and must find the same rows.
  resumed = data.train_batches(
    damaged, on_bad=lambda *_: None, first_step=4, **options
  )
  chex.assert_trees_all_equal(_take(resumed, 2), taken[4:])


def test_a_file_that_is_no_picture_is_one_line(tmp_path, folder, capfd):
  path = tmp_path / '01.jpg'
  path.write_bytes((folder / '01.jpg').read_bytes())
  (tmp_path / '02.jpg').write_bytes(b'no')
  source = data.make_source(str(tmp_path))
  _take(data.train_batches(source, batch_size=4, seed=0, image_size=12), 2)
  # TensorFlow writes to the file descriptor.
  assert 'Traceback' not in capfd.readouterr().err


def test_strict_names_the_bad_file(damaged):
  batches = data.train_batches(
    damaged, batch_size=12, seed=0, image_size=12, strict=True
  )
  with pytest.raises(UserError, match=r'0[34]\.jpg cannot be read'):
    next(batches)


def test_eval_masks_bad_records(damaged):
  (batch,) = data.eval_batches(
    damaged, batch_size=12, preprocessing=usual(12), max_pixels=5000
  )
  bad = np.flatnonzero(~batch['mask'])
  assert bad.tolist() == [3, 4, 7]
  assert not batch['image'][bad].any()


def test_nothing_readable_ends_in_an_error(damaged):
  batches = data.train_batches(
    damaged,
    batch_size=4,
    seed=0,
    image_size=8,
    max_pixels=1,
    on_bad=lambda *_: None,
  )
  with pytest.raises(UserError, match='not one record'):
    next(batches)


def test_pictures_of_several_sizes_need_a_size(folder):
  with pytest.raises(UserError, match='image_size'):
    data.train_batches(data.make_source(str(folder)), batch_size=4, seed=0)


def test_mixture_of_pixels_and_files(pixels, folder):
  mixture = data.Mixture(
    [pixels, data.make_source(str(folder))], weights=[1, 1]
  )
  (batch,) = _take(
    data.train_batches(mixture, batch_size=8, seed=0, image_size=16), 1
  )
  mine = np.flatnonzero(batch['index'] < 10)
  assert len(mine) == 4
  stored = pixels.fetch(batch['index'][mine]).content
  np.testing.assert_array_equal(batch['image'][mine], stored)


def _boxes(spec, size, count):
  import tensorflow as tf

  draw = tf.function(
    lambda keys: tf.map_fn(
      lambda key: crop.random_box(spec, tf.constant(size), key),
      keys,
      fn_output_signature=tf.int32,
    )
  )
  return draw(np.stack([np.arange(count), np.zeros(count, int)], 1)).numpy()


@pytest.mark.reference
def test_boxes_are_distributed_as_torchvision_draws_them():
  from scipy import stats
  import torch
  from torchvision.transforms import RandomResizedCrop

  ours = _boxes(CropSpec(size=8), (60, 90), 1500)
  torch.manual_seed(0)
  image = torch.zeros(3, 60, 90)
  theirs = np.array(
    [
      RandomResizedCrop.get_params(image, (0.08, 1.0), (3 / 4, 4 / 3))
      for _ in range(1500)
    ]
  )
  for column in range(4):
    test = stats.ks_2samp(ours[:, column], theirs[:, column])
    assert test.pvalue > 1e-3, column


@pytest.mark.parametrize(
  ('size', 'expected'),
  [((10, 100), [0, 43, 10, 13]), ((100, 10), [43, 0, 13, 10])],
)
def test_impossible_boxes_fall_back_to_the_centre(size, expected):
  spec = CropSpec(size=8, scale=(1.0, 1.0))
  assert _boxes(spec, size, 1).tolist() == [expected]


def test_boxes_of_tensorflow_obey_their_limits():
  spec = CropSpec(size=8, scale=(0.2, 0.5), rule='tf')
  boxes = _boxes(spec, (60, 90), 200)
  area = boxes[:, 2] * boxes[:, 3] / (60 * 90)
  ratio = boxes[:, 3] / boxes[:, 2]
  # Sides are rounded to whole pixels.
  assert 0.18 < area.min() <= area.max() < 0.52
  assert 0.7 < ratio.min() <= ratio.max() < 1.4
  assert (boxes[:, :2] >= 0).all()
  assert (boxes[:, :2] + boxes[:, 2:] <= (60, 90)).all()


def test_an_image_size_is_the_usual_rule(folder):
  source = data.make_source(str(folder))
  (short,) = data.eval_batches(source, batch_size=12, image_size=96)
  (long,) = data.eval_batches(source, batch_size=12, preprocessing=usual(96))
  chex.assert_trees_all_equal(short, long)
  for rules in ({}, {'image_size': 96, 'preprocessing': usual(96)}):
    with pytest.raises(UserError, match='either preprocessing or image_size'):
      data.eval_batches(source, batch_size=12, **rules)
