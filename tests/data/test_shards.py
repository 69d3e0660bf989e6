import os

import pytest

from jaxssl.data import shards


@pytest.fixture
def three(tmp_path, monkeypatch):
  for number in range(3):
    (tmp_path / f'{number}.tar').touch()
  monkeypatch.chdir(tmp_path)
  return tmp_path


@pytest.mark.parametrize(
  'paths',
  [
    ['0.tar', '0.tar', '1.tar', '2.tar'],
    ['*.tar', '1.tar'],
    ['0.tar', '{0..2}.tar'],
    ['*.tar', os.path.join(os.curdir, '1.tar')],
  ],
)
def test_a_file_that_is_named_twice_is_read_once(three, paths):
  assert shards.expand(paths) == ['0.tar', '1.tar', '2.tar']
  wholes = [*paths, str(three / '2.tar')]
  assert shards.expand(wholes) == ['0.tar', '1.tar', '2.tar']
