"""Real processes, joined by gloo, against one process."""

import re
import shutil

import chex
import numpy as np
import pytest

from jaxssl import failures
from jaxssl.errors import LostProcessError, UserError
from jaxssl.parallel import processes
from jaxssl.weights import safetensors_file
from tests.commands import runs
from tests.parallel.joined import Pair

OPTIONS = (
  '--config.train.num_devices=None',
  '--config.eval.steps=2',
)
MODES = ('jit', 'pmap')


# Each pair of processes loads and compiles all for itself.
def _together(workdir, *more, change=()):
  """Two processes with two devices each; `change` is for the second."""
  arguments = runs.train_arguments(workdir, *OPTIONS, *more)
  return Pair(arguments, change=change).end()


def _weights(workdir):
  return safetensors_file.read(workdir / 'export' / 'encoder.safetensors')


def _column(workdir, name):
  return [r[name] for r in runs.metrics(workdir) if name in r]


@pytest.fixture(scope='module')
def alone(tmp_path_factory):
  workdir = tmp_path_factory.mktemp('alone') / 'run'
  more = ('--config.train.num_devices=4', '--config.eval.steps=2')
  assert runs.train(workdir, *more) == 0
  return workdir


def _assert_alike(workdir, alone):
  for name in ('loss', 'knn/top1'):
    np.testing.assert_allclose(
      _column(workdir, name), _column(alone, name), rtol=1e-4
    )
  # The bias of the keys has no gradient but rounding, of which Adam makes
  # whole steps, so parameters are compared to the size of a few steps.
  chex.assert_trees_all_close(_weights(workdir), _weights(alone), atol=2e-3)


@pytest.mark.full
@pytest.mark.slow
@pytest.mark.parametrize('mode', MODES)
def test_two_processes_train_as_one_and_one_goes_on(mode, alone, tmp_path):
  workdir = tmp_path / 'run'
  codes, errors = _together(workdir, f'--config.train.mode={mode}')
  assert codes == [0, 0], errors
  _assert_alike(workdir, alone)
  assert len(_column(workdir, 'loss')) == 4
  shutil.rmtree(workdir / 'checkpoints' / '4')
  more = ('--config.train.num_devices=4', '--config.eval.steps=2')
  assert runs.train(workdir, *more) == 0
  _assert_alike(workdir, alone)


@pytest.mark.full
@pytest.mark.slow
def test_two_go_on_with_what_one_began(alone, tmp_path):
  workdir = tmp_path / 'run'
  shutil.copytree(alone, workdir)
  shutil.rmtree(workdir / 'checkpoints' / '4')
  codes, errors = _together(workdir)
  assert codes == [0, 0], errors
  assert 'resuming from step 2' in errors[0]
  _assert_alike(workdir, alone)


# The kernel of the last layer is large enough to be cut.
WIDE = ('--config.encoder.dim=64', '--config.head.out_dim=4096')


@pytest.mark.full
@pytest.mark.slow
@pytest.mark.parametrize('fsdp', [2, None])
def test_processes_share_a_state_and_one_goes_on_with_it_whole(fsdp, tmp_path):
  more = (*WIDE, '--config.train.num_devices=4', '--config.eval.steps=2')
  assert runs.train(tmp_path / 'alone', *more) == 0
  workdir = tmp_path / 'run'
  codes, errors = _together(workdir, *WIDE, f'--config.train.fsdp={fsdp}')
  assert codes == [0, 0], errors
  _assert_alike(workdir, tmp_path / 'alone')
  places = workdir / 'checkpoints' / '4' / 'state' / '_sharding'
  assert re.search(r'partition_spec[^]]*fsdp', places.read_text())
  shutil.rmtree(workdir / 'checkpoints' / '4')
  assert runs.train(workdir, *more) == 0
  _assert_alike(workdir, tmp_path / 'alone')
  # And back.
  shutil.rmtree(workdir / 'checkpoints' / '4')
  codes, errors = _together(workdir, *WIDE, f'--config.train.fsdp={fsdp}')
  assert codes == [0, 0], errors
  assert 'resuming from step 2' in errors[0]
  _assert_alike(workdir, tmp_path / 'alone')


@pytest.mark.full
@pytest.mark.slow
def test_disagreement_ends_both_and_says_on_what(tmp_path):
  workdir = tmp_path / 'run'
  codes, errors = _together(workdir, change=('--config.seed=1',))
  assert codes == [2, 2], errors
  for error in errors:
    assert 'the processes disagree on the config' in error
  assert not workdir.exists()


def test_half_given_says_what_is_missing(monkeypatch):
  monkeypatch.delenv('JAX_PROCESS_ID', raising=False)
  with pytest.raises(UserError, match=r'num_processes=2 given, but not coord'):
    processes.start(num_processes=2)


@pytest.mark.parametrize(
  ('given', 'message'),
  [
    (('host', 2, 0), 'must be HOST:PORT'),
    (('host:1', 0, 0), 'must be positive'),
    (('host:1', 2, 2), 'from 0 to num_processes - 1'),
  ],
)
def test_impossible_values(given, message):
  names = ('coordinator', 'num_processes', 'process_id')
  with pytest.raises(UserError, match=message):
    processes.start(**dict(zip(names, given, strict=True)))


def test_one_process_agrees_with_itself_and_does_all():
  done = []
  processes.first_does(lambda: done.append(1))
  assert done == [1]
  assert processes.any_process(True)
  assert not processes.any_process(False)
  processes.check_agreement({'the code': processes.code_version()})


def test_alone_an_error_is_raised_as_it_is():
  with pytest.raises(KeyError), processes.ending_together(failures.tell):
    raise KeyError


def test_a_lost_process_is_no_mistake(capsys):
  assert failures.tell(LostProcessError('gone'), 'train') == 1
  assert capsys.readouterr().err == 'jaxssl: gone\n'
