import os

import pytest

from jaxssl import atomic_file, errors


def test_writes_into_a_new_folder_and_leaves_nothing_else(tmp_path):
  path = tmp_path / 'new' / 'file'
  atomic_file.write(path, lambda file: file.write(b'whole'))
  assert path.read_bytes() == b'whole'
  assert os.listdir(path.parent) == ['file']


def test_failure_keeps_the_old_file(tmp_path):
  path = tmp_path / 'file'
  path.write_bytes(b'old')

  def fill(file):
    file.write(b'half')
    raise RuntimeError('interrupted')

  with pytest.raises(RuntimeError):
    atomic_file.write(path, fill)
  assert path.read_bytes() == b'old'
  assert os.listdir(tmp_path) == ['file']


def test_full_disk_is_a_user_error(tmp_path):
  def fill(file):
    raise OSError(28, 'No space left on device')

  with pytest.raises(errors.UserError, match='No space left on device'):
    atomic_file.write(tmp_path / 'file', fill)


class TestFolder:
  def _fill(self, path, text='new'):
    with atomic_file.folder(path) as partial:
      (partial / 'a').write_text(text)
      (partial / 'b').write_text(text)

  @pytest.mark.parametrize('exists', [False, True])
  def test_an_absent_or_empty_one_is_there_as_a_whole(self, exists, tmp_path):
    path = tmp_path / 'new' / 'folder'
    if exists:
      path.mkdir(parents=True)
    with atomic_file.folder(path) as partial:
      (partial / 'a').write_text('x')
      assert not (path / 'a').exists()
    assert [p.name for p in path.iterdir()] == ['a']
    assert [p.name for p in path.parent.iterdir()] == ['folder']
    (tmp_path / 'usual').mkdir()
    assert path.stat().st_mode == (tmp_path / 'usual').stat().st_mode

  def test_others_keep_what_else_they_have(self, tmp_path):
    path = tmp_path / 'folder'
    path.mkdir()
    (path / 'a').write_text('old')
    (path / 'c').write_text('old')
    self._fill(path)
    found = {p.name: p.read_text() for p in path.iterdir()}
    assert found == {'a': 'new', 'b': 'new', 'c': 'old'}

  def test_after_an_error_nothing_has_appeared(self, tmp_path):
    def fill():
      with atomic_file.folder(tmp_path / 'folder') as partial:
        (partial / 'a').write_text('half')
        raise OSError(28, 'No space left on device')

    with pytest.raises(errors.UserError, match='No space left'):
      fill()
    assert not list(tmp_path.iterdir())

  def test_a_folder_that_cannot_be_made(self, tmp_path):
    (tmp_path / 'file').write_text('')
    with pytest.raises(errors.UserError, match='cannot write'):
      self._fill(tmp_path / 'file' / 'folder')
