import pickle
import queue

import pytest

from jaxssl import data
from jaxssl.data import index_workers, kept_index, tar
from jaxssl.errors import UserError
from tests.data import pairs


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
  monkeypatch.setattr(index_workers.os, 'sched_getaffinity', lambda _: {0, 1})


@pytest.fixture
def paths(tmp_path):
  return [
    str(pairs.write_tar(tmp_path / f'{number}.tar', pairs.record(number)))
    for number in range(3)
  ]


def _drained(waiting):
  found = []
  while not waiting.empty():
    found.append(waiting.get_nowait())
  return found


def test_files_without_an_index_go_to_the_processes(paths, monkeypatch):
  fed = []
  monkeypatch.setattr(
    index_workers, '_feed', lambda waiting, _: fed.extend(_drained(waiting))
  )
  data.make_source('tar', path=paths[:1])
  data.make_source('tar', path=paths)
  assert fed == []  # too small to be worth it
  monkeypatch.setattr(index_workers, 'LEAST_BYTES', 0)
  more = [f'{path}x' for path in paths]
  for path, new in zip(paths, more, strict=True):
    with open(path, 'rb') as old, open(new, 'wb') as file:
      file.write(old.read())
  data.make_source('tar', path=[*paths, *more])
  assert sorted(fed) == more


def test_a_process_makes_indices_and_leaves_what_it_cannot(paths, monkeypatch):
  with open(paths[1], 'ab') as file:
    file.write(b'behind the end')
  asked = {}
  monkeypatch.setattr(
    index_workers, 'make', lambda *task: asked.update(task=task[2:])
  )
  with pytest.raises(UserError, match='goes on behind its end'):
    data.make_source('tar', path=[paths[1]])
  scan, settings = asked['task']
  waiting = queue.SimpleQueue()
  for path in paths:
    waiting.put(path)
  index_workers._feed(waiting, pickle.dumps((scan, settings)))
  assert waiting.empty()
  kept = [
    kept_index.place(path, kept_index.state_of(path), settings).exists()
    for path in paths
  ]
  assert kept == [True, False, True]
  monkeypatch.setattr(tar, '_records', None)  # nothing is read again
  source = data.make_source('tar', path=[paths[0], paths[2]])
  assert source.captions[1] == tuple(pairs.texts(2)[:1])
