import numpy as np
import pytest

from jaxssl.errors import UserError
from jaxssl.runs import patch_shards


def _batches(count):
  for number in range(count):
    yield {
      'image': np.full((3, 2, 2, 1), number, np.float32),
      'mask': np.array([True, number % 2 == 0, True]),
      'index': 3 * number + np.arange(3),
      'label': np.arange(3),
    }


def _write(out, count=5, encode=lambda x: x, **options):
  settings = {'dtype': 'float16', 'shard_rows': 4, 'info': {}, **options}
  return patch_shards.write(out, encode, _batches(count), str, **settings)


def test_rows_are_those_of_the_pictures_that_can_be_read(tmp_path):
  out = tmp_path / 'a'
  count, shape = _write(out)
  assert (count, shape) == (13, (2, 2, 1))
  shards = [np.load(path) for path in sorted(out.glob('*.npz'))]
  assert [len(s['index']) for s in shards] == [4, 4, 4, 1]
  index = np.concatenate([s['index'] for s in shards])
  assert index.tolist() == [i for i in range(15) if i not in (4, 10)]
  features = np.concatenate([s['features'] for s in shards])
  np.testing.assert_array_equal(features[:, 0, 0, 0], index // 3)
  names = np.concatenate([s['names'] for s in shards])
  assert names.tolist() == list(map(str, index.tolist()))


def test_only_one_file_is_in_memory(tmp_path):
  alive = []

  def encode(images):
    # Of every second batch a row cannot be read.
    rows = sum(3 - number % 2 for number in range(len(alive)))
    alive.append(rows - 4 * len(list(tmp_path.rglob('*.npz'))))
    return images

  _write(tmp_path / 'a', count=20, encode=encode)
  assert max(alive) < 4


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    ({'encode': lambda x: x + np.nan}, 'patch features'),
    ({'encode': lambda x: x + 1e6}, 'which float16 cannot hold'),
    ({'count': 0}, 'no image to encode'),
  ],
)
def test_what_cannot_be_stored_leaves_nothing(options, message, tmp_path):
  with pytest.raises(UserError, match=message):
    _write(tmp_path / 'a', **options)
  assert not list(tmp_path.iterdir())
