import subprocess
import sys

import fsspec
import pytest

from jaxssl import atomic_file, paths
from jaxssl.errors import UserError
from tests import object_store


@pytest.fixture
def store():
  with object_store.running():
    yield


@pytest.mark.parametrize(
  ('path', 'remote'),
  [
    ('gs://bucket/a', True),
    (b's3://bucket/a', True),
    ('/a/b', False),
    ('a:b', False),
    ('C://x', False),
  ],
)
def test_a_scheme_makes_a_path_remote(path, remote):
  assert paths.is_remote(path) == remote


def test_a_copy_of_an_object_is_gone_afterwards(store):
  object_store.put('bucket/a.bin', b'content')
  with paths.local_copy(paths.make_path('gs://bucket/a.bin')) as here:
    assert here.read_bytes() == b'content'
    assert here.suffix == '.bin'
  assert not here.exists()


def test_a_file_of_this_machine_is_its_own_copy(tmp_path):
  with paths.local_copy(tmp_path / 'a') as here:
    assert here == tmp_path / 'a'


def test_only_gs_holds_workdirs():
  with pytest.raises(UserError, match='on gs://'):
    paths.make_path('s3://bucket/run')


def test_the_library_is_named_where_it_is_missing(monkeypatch):
  def missing(_):
    raise ImportError

  monkeypatch.setattr(fsspec, 'get_filesystem_class', missing)
  with pytest.raises(UserError, match=r'pip install "jaxssl\[gcs\]"'):
    paths.make_path('gs://bucket/run')


def test_an_object_is_replaced_whole_or_stays(store, monkeypatch):
  path = paths.make_path('gs://bucket/a')
  atomic_file.write_text(path, 'old')

  def broken(file):
    file.write(b'ne')
    raise OSError('the source is gone')

  with pytest.raises(OSError, match='the source is gone'):
    atomic_file.write(path, broken)
  assert path.read_text() == 'old'

  def refused(*_, **__):
    raise PermissionError('403')

  monkeypatch.setattr(object_store.Store, '_open', refused)
  with pytest.raises(UserError, match=r'cannot write gs://bucket/a: .*403'):
    atomic_file.write_text(path, 'new')


def test_etils_reaches_a_store_without_tensorflow():
  # In a process of its own: etils decides once, at its first use of a path.
  code = (
    'import sys, jaxssl.data, jaxssl.paths; from etils import epath; '
    'epath.Path("/").exists(); from etils.epath import backend; '
    'path = jaxssl.paths.epath.Path("gs://bucket/a"); '
    'sys.exit(path._backend is not backend.fsspec_backend)'
  )
  subprocess.run([sys.executable, '-c', code], check=True)
