"""Eight CPU devices, strict shapes, and the reference libraries if present."""

import gc
import os
import pathlib

from tests import (
  cpu_report,
  fast,
  kept_programs,
  quick_compiler,
  returned_memory,
)

os.environ.setdefault('JAX_PLATFORMS', 'cpu')
os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
os.environ.setdefault('TF_ENABLE_ONEDNN_OPTS', '0')
os.environ.setdefault('CUDA_VISIBLE_DEVICES', '')
# No test depends on what the user has compiled.
os.environ.update(kept_programs.settings(kept_programs.folder()))
os.environ.setdefault('XLA_FLAGS', quick_compiler.flags())

import importlib.util

import jax
import pytest

jax.config.update('jax_num_cpu_devices', 8)
jax.config.update('jax_numpy_rank_promotion', 'raise')
# Queued collectives of several steps can deadlock on a host with few cores.
jax.config.update('jax_cpu_enable_async_dispatch', False)

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
SHARED_DATA = REPOSITORY.parent / 'shared' / 'data'
REFERENCES = (
  'torch',
  'torchvision',
  'timm',
  'lightly',
  'transformers',
  'open_clip',
)


def pytest_addoption(parser):
  cpu_report.add_options(parser)
  parser.addoption(
    '--fast',
    action='store_true',
    help='leave out what tests/longer_tests.txt names, for a look in between',
  )
  parser.addoption(
    '--full',
    action='store_true',
    help='also run the tests marked full: all modes, several processes',
  )


def pytest_configure(config):
  cpu_report.register(config)
  if (kept := kept_programs.folder()) is not None:
    kept_programs.prepare(kept)
  if not _leaves_it_to_workers(config) and _has('torch', 'torchvision'):
    import torch

    from benchmarks.peers import torch_simclr

    torch.set_num_threads(1)
    torch_simclr.libraries()


def pytest_collection_finish():
  # The libraries stay. Without them, a look for garbage is done soon.
  gc.collect()
  gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config, items):
  if config.getoption('fast'):
    fast.leave_out(config, items)
  # The plugin declares the marker.
  if config.pluginmanager.hasplugin('xdist'):
    for item in items:
      item.add_marker(pytest.mark.xdist_group(_worker_group(item)))
  # A long group that began last would keep one worker alone at the end.
  long = {_worker_group(i) for i in items if i.get_closest_marker('slow')}
  items.sort(key=lambda item: _worker_group(item) not in long)
  if not config.getoption('full'):
    _skip(items, 'full', '--full runs it')
  missing = [n for n in REFERENCES if importlib.util.find_spec(n) is None]
  if missing:
    reason = f'reference libraries are not installed: {", ".join(missing)}'
    _skip(items, 'reference', reason)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item, nextitem):
  if nextitem is None or _worker_group(nextitem) != _worker_group(item):
    returned_memory.give_back(item.module)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
  report = yield
  # A worker cannot send what is no UTF-8, such as names of damaged archives in
  # a captured log, and would end all tests.
  report.sections = [
    (name, text.encode(errors='backslashreplace').decode())
    for name, text in report.sections
  ]
  return report


def _leaves_it_to_workers(config):
  """Whether this process imports no test: that of xdist which gives orders."""
  return config.getoption('numprocesses', 0) and not config.option.collectonly


def _has(*packages):
  return all(importlib.util.find_spec(name) for name in packages)


def _skip(items, mark, reason):
  for item in items:
    # Keywords hold the names of folders too, also that of the checkout.
    if item.get_closest_marker(mark):
      item.add_marker(pytest.mark.skip(reason=reason))


def _worker_group(item):
  """Tests that share compiled functions: a file, or a case of its table."""
  parameters = getattr(getattr(item, 'callspec', None), 'params', {})
  case = parameters.get('case')
  file = str(item.path.relative_to(REPOSITORY))
  return f'{file}:{case}' if isinstance(case, str) else file


@pytest.fixture(scope='session')
def cifar10_jpeg_dir() -> pathlib.Path:
  """TFDS directory with `cifar10_jpeg`; skips where it is absent."""
  path = SHARED_DATA / 'tensorflow_datasets'
  if not (path / 'cifar10_jpeg').exists():
    pytest.skip(f'no prepared cifar10_jpeg in {path}')
  return path
