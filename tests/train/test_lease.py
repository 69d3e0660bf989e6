import json
import time

import pytest

from jaxssl import atomic_file
from jaxssl.errors import UserError
from jaxssl.paths import make_path
from jaxssl.train import lease
from tests import object_store


@pytest.fixture(autouse=True)
def store(monkeypatch):
  monkeypatch.setattr(lease, 'BEAT', 0.1)
  with object_store.running():
    yield


PATH = 'gs://bucket/run/lock'


def _lease():
  return lease.Lease(make_path(PATH))


def _content():
  return json.loads(make_path(PATH).read_text())


def test_it_beats_until_it_is_released():
  held = _lease()
  held.take()
  first = _content()['beats']
  _wait_until(lambda: _content()['beats'] > first)
  held.release()
  assert object_store.names() == []


def test_a_living_holder_keeps_it():
  held = _lease()
  held.take()
  with pytest.raises(UserError, match=r"training in 'gs://bucket/run'"):
    _lease().take()
  held.check()
  held.release()


def test_a_dead_holder_loses_it(caplog):
  atomic_file.write_text(make_path(PATH), '{"holder": "dead", "beats": 7}')
  held = _lease()
  with caplog.at_level('INFO', 'jaxssl'):
    held.take()
  assert 'to see whether its process lives' in caplog.text
  assert _content()['holder'] != 'dead'
  held.release()


def test_who_was_cut_off_learns_that_it_is_lost(monkeypatch):
  monkeypatch.setattr(lease.Lease, '_beat', lambda self: None)
  held = _lease()
  held.take()
  other = json.dumps({'holder': 'other', 'beats': 1})
  atomic_file.write_text(make_path(PATH), other)
  with pytest.raises(UserError, match='another process is training'):
    held.check()
  held.release()
  # Nor does it take the lease from the other by ending.
  assert _content()['holder'] == 'other'


def test_the_network_may_be_away_for_a_beat(monkeypatch, caplog):
  held = _lease()
  held.take()

  def away(*_):
    raise OSError('no network')

  with monkeypatch.context() as patched:
    patched.setattr(object_store.Store, '_open', away)
    _wait_until(lambda: 'cannot be renewed' in caplog.text)
  before = _content()['beats']
  _wait_until(lambda: _content()['beats'] > before)
  held.release()


def _wait_until(condition):
  end = time.monotonic() + 60
  while not condition():
    assert time.monotonic() < end
    time.sleep(0.01)
