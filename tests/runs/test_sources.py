import numpy as np
from PIL import Image
import pytest

from jaxssl.errors import UserError
from jaxssl.runs import sources


@pytest.mark.parametrize(
  ('text', 'parts'),
  [
    ('imagenet_v2', None),
    ('imagenet_v2:test', ('imagenet_v2', 'test')),
    ('imagenet_v2:test[:10%]', ('imagenet_v2', 'test[:10%]')),
    ('v2:test[:10%]+train[:5%]', ('v2', 'test[:10%]+train[:5%]')),
    ('gs://bucket/v2', None),
    ('gs://bucket/v2:test', ('gs://bucket/v2', 'test')),
    ('a:b/c', None),
  ],
)
def test_a_split_is_behind_the_last_colon_that_is_no_part_of_a_path(
  text, parts
):
  found = sources._WITH_SPLIT.fullmatch(text)
  assert (found and found.groups()) == parts


def _pictures(folder, count):
  for name in ('a', 'b'):
    (folder / name).mkdir(parents=True)
    for i in range(count):
      pixels = np.full((8, 8, 3), i, np.uint8)
      Image.fromarray(pixels).save(folder / name / f'{i}.png')


def test_a_set_without_splits_is_taken_whole(tmp_path):
  _pictures(tmp_path / 'set', 20)
  like = {'name': 'photos'}
  found = sources.open_set(str(tmp_path / 'set'), data_dir=None, like=like)
  assert found.num_examples == 40
  # Who names the split means what is held out of such a folder elsewhere.
  named = f'{tmp_path / "set"}:test'
  found = sources.open_set(named, data_dir=None, like=like)
  assert 0 < found.num_examples < 40


def test_of_a_set_with_splits_the_test_pictures_are_taken(tmp_path):
  for split, count in (('train', 20), ('test', 3)):
    _pictures(tmp_path / 'set' / split, count)
  like = {'name': 'photos'}
  found = sources.open_set(str(tmp_path / 'set'), data_dir=None, like=like)
  assert found.num_examples == 6
  text = f'{tmp_path / "set"}:train'
  found = sources.open_set(text, data_dir=None, like=like)
  assert found.num_examples == 40


def test_a_set_that_is_not_there_is_told(tmp_path):
  with pytest.raises(UserError, match='does not exist'):
    sources.open_set(str(tmp_path / 'no'), data_dir=None, like={})
