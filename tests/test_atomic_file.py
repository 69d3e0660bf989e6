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
