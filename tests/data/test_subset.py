import numpy as np

from jaxssl import data
from jaxssl.data.subset import Subset

SOURCE = data.Arrays(
  np.arange(10, dtype=np.uint8)[:, None, None, None]
  * np.ones((1, 2, 2, 3), 'u1'),
  np.arange(10),
  class_names=tuple('abcdefghij'),
)


def test_records_are_those_that_were_chosen():
  subset = Subset(SOURCE, np.array([7, 2, 4]))
  records = subset.fetch(np.array([0, 2]))
  np.testing.assert_array_equal(records.label, [7, 4])
  np.testing.assert_array_equal(records.content[:, 0, 0, 0], [7, 4])
  assert subset.describe(1) == SOURCE.describe(2)
  assert subset.class_names == SOURCE.class_names


def test_every_record_once_an_epoch():
  subset = Subset(SOURCE, np.array([7, 2, 4, 9]))
  epochs, rows = subset.locate(np.arange(8), seed=0)
  np.testing.assert_array_equal(epochs, [0] * 4 + [1] * 4)
  for part in (rows[:4], rows[4:]):
    np.testing.assert_array_equal(np.sort(part), np.arange(4))


def test_other_records_have_another_fingerprint():
  first, second, same = (
    Subset(SOURCE, np.array(rows)) for rows in ([1, 2], [1, 3], [1, 2])
  )
  assert first.fingerprint == same.fingerprint != second.fingerprint
