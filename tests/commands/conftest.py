"""One short run, shared by the tests that only look at it."""

import logging
import os
import pathlib

import jax
from jax.experimental.compilation_cache import compilation_cache
import numpy as np
from PIL import Image
import pytest

from tests.commands import runs


@pytest.fixture(scope='package', autouse=True)
def _compile_once(tmp_path_factory):
  # The same tiny step is compiled in nearly every test here.
  changes = {
    'jax_compilation_cache_dir': str(tmp_path_factory.mktemp('in_process')),
    'jax_persistent_cache_min_compile_time_secs': 0,
    'jax_persistent_cache_min_entry_size_bytes': -1,
  }
  before = {name: getattr(jax.config, name) for name in changes}
  for name, value in changes.items():
    jax.config.update(name, value)
  compilation_cache.reset_cache()
  yield
  for name, value in before.items():
    jax.config.update(name, value)
  compilation_cache.reset_cache()


@pytest.fixture(scope='session')
def finished_run(tmp_path_factory) -> pathlib.Path:
  """Workdir of a run of 4 steps on digits, with checkpoints 2 and 4."""
  workdir = tmp_path_factory.mktemp('finished') / 'run'
  assert runs.train(workdir) == 0
  return workdir


@pytest.fixture(scope='session')
def picture_folder(tmp_path_factory) -> pathlib.Path:
  """Forty coloured squares, without labels."""
  folder = tmp_path_factory.mktemp('pictures')
  generator = np.random.default_rng(0)
  for number in range(40):
    pixels = generator.integers(0, 256, (36, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / f'{number:02d}.png')
  return folder


@pytest.fixture(autouse=True)
def _logging_as_before():
  # A command points the log at the standard error of its time.
  root, package = logging.getLogger(), logging.getLogger('jaxssl')
  handlers, level, raises = (
    root.handlers[:],
    package.level,
    (logging.raiseExceptions),
  )
  yield
  root.handlers[:] = handlers
  package.setLevel(level)
  logging.raiseExceptions = raises


@pytest.fixture
def in_tmp(tmp_path, monkeypatch) -> pathlib.Path:
  """An empty current directory."""
  monkeypatch.chdir(tmp_path)
  return tmp_path


@pytest.fixture(scope='session')
def child_environment(tmp_path_factory) -> dict[str, str]:
  """For commands in a process of their own: one device, compiled once."""
  return os.environ | {
    'JAX_PLATFORMS': 'cpu',
    'JAX_NUM_CPU_DEVICES': '1',
    'JAX_ENABLE_COMPILATION_CACHE': 'true',
    'JAX_COMPILATION_CACHE_DIR': str(tmp_path_factory.mktemp('compiled')),
    'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0',
    'TF_CPP_MIN_LOG_LEVEL': '3',
  }
