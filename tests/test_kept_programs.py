"""The cache of compiled programs that runs of the tests share."""

import os
import subprocess
import sys
import time

import pytest

from tests import kept_programs

# Long enough to compile that it is kept.
SCRIPT = """
import jax
from jax import monitoring

hits = []
monitoring.register_event_listener(
  lambda event, **kwargs: hits.append(event) if 'cache_hits' in event else None
)

@jax.jit
def long(x):
  for _ in range(200):
    x = jax.numpy.sin(x @ x) + 1
  return x.sum()

print(float(long(jax.numpy.ones((4, 4)))), len(hits))
"""


def _run(settings):
  kept = {k: v for k, v in os.environ.items() if not k.startswith('JAX_')}
  done = subprocess.run(
    [sys.executable, '-c', SCRIPT],
    env={**kept, 'JAX_PLATFORMS': 'cpu', **settings},
    capture_output=True,
    text=True,
    check=True,
  )
  assert not done.stderr
  value, hits = done.stdout.split()
  return float(value), int(hits)


def test_second_run_takes_the_programs_of_the_first(tmp_path):
  settings = kept_programs.settings(tmp_path)
  value, hits = _run(settings)
  assert hits == 0
  again, hits = _run(settings)
  # On a busy machine some of JAX's own small programs are kept, too.
  assert hits >= 1
  assert again == value


def test_they_are_in_the_checkout_unless_told_otherwise(tmp_path, monkeypatch):
  monkeypatch.delenv(kept_programs.FOLDER, raising=False)
  assert kept_programs.folder(tmp_path).parent == tmp_path / '.cache' / 'tests'
  monkeypatch.setenv(kept_programs.FOLDER, str(tmp_path / 'mine'))
  assert kept_programs.folder(tmp_path).parent == tmp_path / 'mine'
  monkeypatch.setenv(kept_programs.FOLDER, '')
  assert kept_programs.folder(tmp_path) is None
  off = {'JAX_ENABLE_COMPILATION_CACHE': 'false'}
  assert kept_programs.settings(None) == off


def test_each_kind_of_cpu_has_a_folder():
  text = 'processor: 0\nmodel name: A\nflags: sse avx\n\nprocessor: 1\n'
  name = kept_programs.name_of_cpu(text)
  others = {
    kept_programs.name_of_cpu(text.replace('avx', 'avx2')),
    kept_programs.name_of_cpu(text.replace(': A', ': B')),
  }
  assert len({name, *others}) == 3
  # The speed of the moment and the number of cores do not matter.
  other_moment = text.replace('flags', 'cpu MHz: 2900\nflags')
  assert kept_programs.name_of_cpu(other_moment + '\n\nprocessor: 2') == name


@pytest.mark.parametrize(('days', 'left'), [(29, True), (31, False)])
def test_programs_are_kept_for_a_month(tmp_path, days, left):
  program = tmp_path / 'folder' / 'jit_step-1234-cache'
  kept_programs.prepare(program.parent)
  assert program.parent.stat().st_mode & 0o777 == 0o700
  program.write_bytes(b'')
  written = time.time() - days * 24 * 3600
  os.utime(program, (written, written))
  kept_programs.prepare(program.parent)
  assert program.exists() == left
