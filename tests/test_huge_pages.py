"""Programs that compute ask for large pages, once."""

import os
import pathlib
import subprocess
import sys

import pytest

from jaxssl import cli, huge_pages

TUNABLE = 'glibc.malloc.hugetlb'


@pytest.fixture
def started(monkeypatch, tmp_path):
  """Environments of the programs that were started, on a kernel that asks."""
  environments = []
  monkeypatch.setattr(
    os, 'execve', lambda path, argv, env: environments.append(env)
  )
  monkeypatch.setattr(huge_pages, '_KERNEL', tmp_path / 'enabled')
  monkeypatch.setattr(huge_pages, '_library', lambda: (2, 36))
  (tmp_path / 'enabled').write_text('always [madvise] never\n')
  return environments


@pytest.mark.parametrize('command', huge_pages.COMMANDS)
def test_a_command_that_computes_starts_again(started, command):
  assert command in cli.COMMANDS
  huge_pages.restart(command, {'HOME': '/home'})
  variables = {'HOME': '/home', 'GLIBC_TUNABLES': f'{TUNABLE}=1'}
  assert started == [variables]


@pytest.mark.parametrize('command', [None, 'doctor', '--help'])
def test_others_go_on(started, command):
  huge_pages.restart(command, {})
  assert not started


@pytest.mark.parametrize('value', [0, 1, 2])
def test_what_the_environment_says_stays(started, value):
  huge_pages.restart('train', {'GLIBC_TUNABLES': f'{TUNABLE}={value}'})
  assert not started


def test_other_tunables_stay(started):
  huge_pages.restart('train', {'GLIBC_TUNABLES': 'glibc.malloc.check=1'})
  both = f'glibc.malloc.check=1:{TUNABLE}=1'
  assert started == [{'GLIBC_TUNABLES': both}]


@pytest.mark.parametrize(
  'enabled', ['[always] madvise never', 'always madvise [never]', None]
)
def test_a_kernel_that_does_not_ask_is_left_alone(started, tmp_path, enabled):
  file = tmp_path / 'enabled'
  file.unlink() if enabled is None else file.write_text(enabled)
  huge_pages.restart('train', {})
  assert not started


@pytest.mark.parametrize('version', [(), (2, 34)])
def test_a_library_that_cannot_is_left_alone(started, monkeypatch, version):
  monkeypatch.setattr(huge_pages, '_library', lambda: version)
  huge_pages.restart('train', {})
  assert not started


def test_a_program_that_cannot_start_again_goes_on(started, monkeypatch):
  def refuse(*_):
    raise OSError

  monkeypatch.setattr(os, 'execve', refuse)
  huge_pages.restart('train', {})
  assert not started


@pytest.mark.skipif(sys.platform != 'linux', reason='Linux only')
def test_the_program_is_the_same_one_and_starts_once(tmp_path):
  enabled = tmp_path / 'enabled'
  enabled.write_text('always [madvise] never\n')
  code = f"""
import os, pathlib, sys
from jaxssl import huge_pages
print('start', os.getpid(), sys.argv[1:], sys.flags.dev_mode, flush=True)
huge_pages._KERNEL = pathlib.Path({str(enabled)!r})
huge_pages._library = lambda: (2, 35)
huge_pages.restart('train')
print(os.environ['GLIBC_TUNABLES'])
"""
  environ = {k: v for k, v in os.environ.items() if k != 'GLIBC_TUNABLES'}
  found = subprocess.run(
    [sys.executable, '-X', 'dev', '-c', code, 'a b', '--c'],
    capture_output=True,
    check=True,
    cwd=pathlib.Path(__file__).parents[1],
    env=environ,
    text=True,
  )
  first, second, tunables = found.stdout.splitlines()
  assert first == second
  assert first.endswith("['a b', '--c'] True")
  assert tunables == f'{TUNABLE}=1'
