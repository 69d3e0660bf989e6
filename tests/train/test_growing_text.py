import os

import pytest

from jaxssl.paths import make_path
from jaxssl.train import growing_text
from tests import object_store


@pytest.fixture
def store():
  with object_store.running():
    yield


def test_a_text_in_a_store_is_put_seldom_and_when_asked(store, monkeypatch):
  path = make_path('gs://bucket/a.txt')
  text = growing_text.open_text(path)
  text.write('one\n')
  text.flush()
  assert not path.exists()
  text.sync()
  assert path.read_text() == 'one\n'
  text.write('two\n')
  monkeypatch.setattr(growing_text, 'SECONDS', 0.0)
  text.flush()
  assert path.read_text() == 'one\ntwo\n'
  text.write('three\n')
  text.close()
  assert path.read_text() == 'one\ntwo\nthree\n'


def test_a_text_in_a_store_goes_on(store):
  path = make_path('gs://bucket/a.txt')
  for line in ('one\n', 'two\n'):
    text = growing_text.open_text(path)
    text.write(line)
    text.close()
  assert path.read_text() == 'one\ntwo\n'


def test_what_is_unchanged_is_not_put_again(store):
  path = make_path('gs://bucket/a.txt')
  text = growing_text.open_text(path)
  text.write('one\n')
  text.sync()
  object_store.remove('bucket/a.txt')
  text.sync()
  assert not path.exists()


def test_on_a_disk_it_is_synced_to_the_device(tmp_path, monkeypatch):
  synced = []
  monkeypatch.setattr(os, 'fsync', synced.append)
  text = growing_text.open_text(tmp_path / 'a.txt')
  text.write('one\n')
  text.flush()
  assert (tmp_path / 'a.txt').read_text() == 'one\n'
  assert not synced
  text.sync()
  assert len(synced) == 1
  text.close()
