import numpy as np

from jaxssl import data
from jaxssl.augment.preprocessing import usual
from jaxssl.data.limited import Limited

SOURCE = data.Arrays(
  np.arange(10, dtype=np.uint8)[:, None, None, None]
  * np.ones((1, 2, 2, 3), 'u1'),
  np.arange(10),
  class_names=tuple('abcdefghij'),
)


def test_records_are_those_of_an_evaluation_with_this_limit():
  limited = Limited(SOURCE, 4)
  (batch,) = data.eval_batches(
    SOURCE, batch_size=4, preprocessing=usual(2), limit=4
  )
  records = limited.fetch(np.arange(4))
  np.testing.assert_array_equal(records.label, batch['label'])
  np.testing.assert_array_equal(records.content, batch['image'])
  assert limited.describe(1) == SOURCE.describe(2)
  assert limited.class_names == SOURCE.class_names


def test_every_record_once_an_epoch():
  limited = Limited(SOURCE, 4)
  epochs, rows = limited.locate(np.arange(8), seed=0)
  np.testing.assert_array_equal(epochs, [0] * 4 + [1] * 4)
  for part in (rows[:4], rows[4:]):
    np.testing.assert_array_equal(np.sort(part), np.arange(4))


def test_more_than_there_are_is_all():
  limited = Limited(SOURCE, 99)
  assert limited.num_examples == 10
  records = limited.fetch(np.arange(10))
  np.testing.assert_array_equal(records.label, np.arange(10))
  assert limited.fingerprint != Limited(SOURCE, 4).fingerprint
