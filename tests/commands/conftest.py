"""One short run, shared by the tests that only look at it."""

import logging
import os
import pathlib

import numpy as np
from PIL import Image
import pytest

from tests.commands import runs


@pytest.fixture(scope='session')
def finished_run(tmp_path_factory) -> pathlib.Path:
  """Workdir of a run of 4 steps on digits, with checkpoints 2 and 4.

  It is shared: a test that writes into it takes a copy.
  """
  workdir = tmp_path_factory.mktemp('finished') / 'run'
  assert runs.train(workdir) == 0
  return workdir


@pytest.fixture(autouse=True)
def _finished_run_is_left_as_it_was(request):
  # Else the tests after this one would depend on it.
  if 'finished_run' not in request.fixturenames:
    yield
    return
  run = request.getfixturevalue('finished_run')
  before = runs.files(run)
  yield
  assert runs.files(run) == before


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
def child_environment() -> dict[str, str]:
  """For commands in a process of their own: one device."""
  return os.environ | {
    'JAX_PLATFORMS': 'cpu',
    'JAX_NUM_CPU_DEVICES': '1',
    'TF_CPP_MIN_LOG_LEVEL': '3',
  }
