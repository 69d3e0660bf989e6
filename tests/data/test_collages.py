import numpy as np
import pytest
from skimage import data as photographs

from jaxssl.data.collages import Collages
from jaxssl.errors import UserError

FEW = ('astronaut', 'coffee', 'rocket')


@pytest.mark.parametrize('split', ['train', 'test'])
def test_each_part_is_a_part_of_its_photograph(split):
  source = Collages(split=split, size=48, count=6, pictures=FEW)
  border = [int(0.65 * getattr(photographs, n)().shape[1]) for n in FEW]
  seen = set()
  for index in range(6):
    image = source.fetch(np.array([index])).content[0]
    mask = source.targets['mask'].read(index)
    labels, counts = np.unique(mask, return_counts=True)
    assert 2 <= len(labels) <= 3
    assert source.fetch(np.array([index])).label[0] == labels[counts.argmax()]
    for label in labels.tolist():
      seen.add(label)
      whole = getattr(photographs, FEW[label])()
      columns = slice(None, border[label])
      if split == 'test':
        columns = slice(border[label], None)
      # Its middle row is found in the photograph, at one place at least.
      rows, places = np.nonzero(mask == label)
      row = np.bincount(rows).argmax()
      own = image[row, np.sort(places[rows == row])]
      windows = np.lib.stride_tricks.sliding_window_view(
        whole[:, columns], len(own), axis=1
      )
      assert (windows == own.T).all(axis=(2, 3)).any()
  assert seen == {0, 1, 2}


def test_pictures_follow_from_seed_split_and_index():
  first = Collages(size=32, count=3, pictures=FEW)
  again = Collages(size=32, count=5, pictures=FEW)
  indices = np.arange(3)
  content = first.fetch(indices).content
  np.testing.assert_array_equal(content, again.fetch(indices).content)
  other = Collages(size=32, count=3, pictures=FEW, seed=1)
  assert (other.fetch(indices).content != content).any()
  assert len({first.identity, again.identity, other.identity}) == 3


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    ({'split': 'val'}, 'unknown split of collages'),
    ({'size': 999}, 'from 16 to'),
    ({'pictures': ('astronaut', 'astronut')}, "did you mean 'astronaut'"),
    ({'pictures': ('astronaut',)}, 'at least two'),
  ],
)
def test_wrong_arguments_are_told(options, message):
  with pytest.raises(UserError, match=message):
    Collages(**{'pictures': FEW, **options})
