import numpy as np
import pytest

from jaxssl.errors import UserError
from jaxssl.evals.features import Features
from jaxssl.pictures import neighbours

ROWS, BATCH, DIM = 23, 8, 5


def _batches(features, rows_that_count=None):
  """Images whose first pixels are their features, padded batches."""
  count = -(-len(features) // BATCH) * BATCH
  padded = np.zeros((count, DIM, 1, 3), np.uint8)
  padded[: len(features)] = features[:, :, None, None]
  index = np.where(np.arange(count) < len(features), np.arange(count), -1)
  mask = index >= 0
  if rows_that_count is not None:
    mask &= np.isin(index, rows_that_count)
  for first in range(0, count, BATCH):
    part = slice(first, first + BATCH)
    yield {
      'image': padded[part],
      'label': (index[part] % 3).astype(np.int32),
      'index': index[part],
      'mask': mask[part],
    }


def _encode(images):
  return images[:, :, 0, 0].astype(np.float32)


@pytest.fixture(scope='module')
def bank():
  return np.random.default_rng(0).integers(0, 256, (ROWS, DIM), np.uint8)


def _cosine(a, b):
  a, b = a.astype(float), b.astype(float)
  norms = np.linalg.norm(a, axis=1)[:, None] * np.linalg.norm(b, axis=1)[None]
  return a @ b.T / norms


def test_equals_sorting_all_similarities(bank):
  queries = np.random.default_rng(1).integers(1, 256, (4, DIM)).astype(float)
  found = neighbours.find(queries, _encode, _batches(bank), k=10)
  similarity = _cosine(queries, bank)
  order = np.argsort(-similarity, axis=1)[:, :10]
  np.testing.assert_array_equal(found.labels, order % 3)
  np.testing.assert_array_equal(found.images[..., 0, 0], bank[order])
  np.testing.assert_allclose(
    found.similarity, np.take_along_axis(similarity, order, axis=1), rtol=1e-5
  )


def test_an_image_of_the_bank_is_not_its_own_neighbour(bank):
  skip = np.array([3, 20])
  found = neighbours.find(
    bank[skip], _encode, _batches(bank), k=ROWS, skip=skip
  )
  assert found.images.shape[1] == ROWS - 1
  for row, images in zip(skip, found.images, strict=True):
    assert not (images[..., 0, 0] == bank[row]).all(axis=-1).any()


def test_rows_that_only_pad_are_no_neighbours(bank):
  found = neighbours.find(
    bank[:1], _encode, _batches(bank, rows_that_count=[4, 9]), k=5
  )
  assert found.images.shape[1] == 2
  assert set(found.labels[0]) == {4 % 3, 9 % 3}


def test_panel_names_labels_where_they_are_known(bank):
  found = neighbours.find(bank[:2], _encode, _batches(bank), k=2)
  images = np.zeros((2, 8, 8, 3), np.uint8)
  data = Features(bank[:2], np.array([-1, 2], np.int32), ('cat', 'dog'))
  panel = neighbours.neighbours_panel(
    images, data, found, found_classes=('cat', 'dog')
  )
  assert panel.columns[0].captions == ['', 'class 2']
  assert panel.columns[1].captions == [('1.00', 'cat'), ('1.00', 'dog')]
  assert panel.columns[1].is_right == [None, False]
  assert panel.columns[0].is_right == ()
  assert len(panel.columns) == 3


def test_classes_meet_by_name(bank):
  found = neighbours.find(bank[:2], _encode, _batches(bank), k=1)
  assert found.labels.ravel().tolist() == [0, 1]
  images = np.zeros((2, 8, 8, 3), np.uint8)
  data = Features(bank[:2], np.array([1, 1], np.int32), ('dog', 'cat'))
  panel = neighbours.neighbours_panel(
    images, data, found, found_classes=('cat', 'dog', 'emu')
  )
  assert panel.columns[0].captions == ['cat', 'cat']
  assert panel.columns[1].captions == [('1.00', 'cat'), ('1.00', 'dog')]
  assert panel.columns[1].is_right == [True, False]


def test_a_bank_without_pictures_is_refused(bank):
  with pytest.raises(UserError, match='no pictures to find neighbours among'):
    neighbours.find(bank.astype(np.float32), _encode, [], k=2)
