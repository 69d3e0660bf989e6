"""The cache of compiled programs: private, used, and without consequences."""

import os
import pathlib
import subprocess
import sys
import types

import pytest

from jaxssl import compile_cache
from jaxssl.errors import UserError
from tests.commands import runs

# A program of its own for each start, as only then a cache is met again.
SCRIPT = """
import jax
jax.config.update('jax_persistent_cache_min_compile_time_secs', 0.0)
from jax import monitoring
from jaxssl import compile_cache

counts = {'cache_hits': 0, 'cache_misses': 0}

def listen(event, **kwargs):
  name = event.rsplit('/', 1)[-1]
  counts[name] = counts.get(name, 0) + 1

monitoring.register_event_listener(listen)
compile_cache.enable()
result = jax.jit(lambda x: (x @ x.T).sum())(jax.numpy.ones((4, 4)))
print(counts['cache_hits'], counts['cache_misses'], result)
"""


def _environment(**changes):
  kept = {k: v for k, v in os.environ.items() if not k.startswith('JAX_')}
  return {**kept, 'JAX_PLATFORMS': 'cpu', **changes}


def _start(**changes):
  done = subprocess.run(
    [sys.executable, '-c', SCRIPT],
    cwd=pathlib.Path(__file__).parents[1],
    env=_environment(**changes),
    capture_output=True,
    text=True,
    check=True,
  )
  hits, misses, result = done.stdout.split()
  return int(hits), int(misses), float(result)


def test_second_start_takes_what_the_first_has_compiled(tmp_path):
  hits, misses, first = _start(XDG_CACHE_HOME=str(tmp_path))
  assert hits == 0
  assert misses > 0
  folder = tmp_path / 'jaxssl' / 'xla'
  assert folder.stat().st_mode & 0o777 == 0o700
  assert len(list(folder.glob('*-cache'))) == misses
  # One is cut off, as a killed process could leave it: compiled again.
  cut = min(folder.glob('*-cache'))
  cut.write_bytes(cut.read_bytes()[:20])
  again = _start(XDG_CACHE_HOME=str(tmp_path))
  assert again[0] == misses - 1
  assert again[2] == first


def test_it_can_be_switched_off(tmp_path):
  off = {'JAX_ENABLE_COMPILATION_CACHE': 'false'}
  assert _start(XDG_CACHE_HOME=str(tmp_path), **off)[:2] == (0, 0)
  assert not list(tmp_path.iterdir())


def test_tests_leave_the_users_cache_alone(tmp_path, monkeypatch):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
  compile_cache.enable()
  assert not list(tmp_path.iterdir())


def test_folder_is_in_the_home_by_default(tmp_path, monkeypatch):
  monkeypatch.setenv('HOME', str(tmp_path))
  home = tmp_path / '.cache' / 'jaxssl' / 'xla'
  for base in (None, '', 'relative'):
    monkeypatch.delenv('XDG_CACHE_HOME', raising=False)
    if base is not None:
      monkeypatch.setenv('XDG_CACHE_HOME', base)
    assert compile_cache.default_folder() == home


@pytest.fixture
def switched_on(monkeypatch):
  """The tests have no cache; here it is asked for, but not begun."""
  monkeypatch.delenv('XDG_CACHE_HOME', raising=False)
  config = types.SimpleNamespace(
    jax_enable_compilation_cache=True, jax_compilation_cache_dir=None
  )
  config.update = lambda name, value: setattr(config, name, value)
  monkeypatch.setattr(compile_cache.jax, 'config', config)
  return config


@pytest.mark.parametrize('place', [None, 'file/home', 'read-only'])
def test_without_a_home_or_a_writable_one_there_is_a_warning_and_no_cache(
  place, switched_on, tmp_path, monkeypatch, caplog
):
  (tmp_path / 'file').touch()
  if place is None:
    monkeypatch.setattr(pathlib.Path, 'home', _no_home)
  else:
    monkeypatch.setenv('HOME', str(tmp_path / place))
  if place == 'read-only':
    monkeypatch.setattr(os, 'access', lambda path, mode: False)
  compile_cache.enable()
  assert switched_on.jax_compilation_cache_dir is None
  assert 'compiled programs are not kept' in caplog.text
  assert len(caplog.records) == 1


def _no_home():
  raise RuntimeError('Could not determine home directory.')


def test_a_folder_that_the_user_names_must_be_usable(switched_on, tmp_path):
  (tmp_path / 'file').touch()
  switched_on.jax_compilation_cache_dir = str(tmp_path / 'file' / 'cache')
  with pytest.raises(UserError, match='no cache of compiled programs'):
    compile_cache.enable()


@pytest.mark.parametrize('mode', [0o770, 0o707, 0o777])
def test_folder_that_others_can_write_to_is_refused(tmp_path, mode):
  folder = tmp_path / 'cache'
  folder.mkdir()
  folder.chmod(mode)
  with pytest.raises(UserError, match='others may write'):
    compile_cache._make_private(folder)


def test_folder_of_another_user_is_refused(tmp_path, monkeypatch):
  monkeypatch.setattr(os, 'geteuid', lambda: os.getuid() + 1)
  with pytest.raises(UserError, match='belongs to another user'):
    compile_cache._make_private(tmp_path)


def test_folder_that_cannot_be_made_is_refused(tmp_path):
  (tmp_path / 'file').touch()
  with pytest.raises(UserError, match='JAX_COMPILATION_CACHE_DIR'):
    compile_cache._make_private(tmp_path / 'file' / 'cache')


def test_the_users_own_folder_wins_and_is_looked_at(tmp_path):
  folder = tmp_path / 'own'
  folder.mkdir(mode=0o700)
  folder.chmod(0o777)
  done = subprocess.run(
    [sys.executable, '-m', 'jaxssl', *runs.train_arguments(tmp_path / 'run')],
    cwd=pathlib.Path(__file__).parents[1],
    env=_environment(JAX_COMPILATION_CACHE_DIR=str(folder)),
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 2
  assert str(folder) in done.stderr
  assert done.stderr.count('\n') == 1
  assert not (tmp_path / 'run').exists()
