"""Harm that needs no process of its own; signals: `test_interruptions.py`."""

import itertools
import os
import shutil
import time

import chex
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.faults import campaign
from jaxssl.train import learner
from jaxssl.train.writers import JsonLines
from tests.commands import runs


@pytest.fixture
def stopped(finished_run, tmp_path):
  """A run of four steps that stopped after the second."""
  return _stopped(finished_run, tmp_path / 'run')


def _stopped(finished, run):
  shutil.copytree(finished, run)
  shutil.rmtree(run / 'checkpoints' / '4')
  shutil.rmtree(run / 'export')
  return run


def _ends_like(run, finished_run):
  chex.assert_trees_all_equal(
    campaign.arrays(run, 4), campaign.arrays(finished_run, 4)
  )
  exports = [
    (each / 'export' / 'encoder.safetensors').read_bytes()
    for each in (run, finished_run)
  ]
  assert exports[0] == exports[1]
  assert campaign.metrics(run) == campaign.metrics(finished_run)


def _with_nan(at):
  """A training step whose views are not numbers in the step after `at`."""
  train_step = learner.train_step

  def step(state, batch, *, augment, **kwargs):
    def views(key, batch, axis_name):
      batch = augment(key, batch, axis_name)
      bad = jnp.where(state.step == at, jnp.nan, 0.0)
      return {**batch, 'views': tuple(view + bad for view in batch['views'])}

    return train_step(state, batch, augment=views, **kwargs)

  return step


def test_not_a_number_ends_the_run_and_the_same_command_goes_on(
  stopped, finished_run, capsys
):
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(learner, 'train_step', _with_nan(2))
    assert runs.train(stopped) == 2
  line = capsys.readouterr().err.splitlines()[-1]
  assert 'is nan at step 3' in line
  assert 'last good checkpoint: step 2' in line
  assert {p.name for p in (stopped / 'checkpoints').iterdir()} == {'2'}
  assert runs.train(stopped) == 0
  _ends_like(stopped, finished_run)


def test_machine_that_slept(finished_run, tmp_path, monkeypatch):
  """Hours between two looks at the clock are slow steps, nothing worse."""
  hours, now = itertools.count(), time.perf_counter
  monkeypatch.setattr(
    time, 'perf_counter', lambda: now() + 3600.0 * next(hours)
  )
  run = tmp_path / 'run'
  assert runs.train(run) == 0
  _ends_like(run, finished_run)
  for record in runs.metrics(run):
    assert np.isfinite(list(record.values())).all()
    assert 0 <= record['input_wait'] <= 1


@pytest.mark.parametrize('left', ['nothing', 'half a checkpoint'])
def test_checkpoints_deleted(left, stopped, finished_run):
  if left == 'nothing':
    shutil.rmtree(stopped / 'checkpoints')
  else:
    two = stopped / 'checkpoints' / '2'
    two.rename(two.with_name('2.orbax-checkpoint-tmp'))
  assert runs.train(stopped) == 0
  _ends_like(stopped, finished_run)


def test_second_process_is_refused_and_the_first_is_not_disturbed(
  finished_run, tmp_path, monkeypatch, capsys
):
  run, write, codes = tmp_path / 'run', JsonLines.write, []

  def and_start_another(self, step, scalars):
    write(self, step, scalars)
    if step == 3:
      codes.append(runs.train(run))

  monkeypatch.setattr(JsonLines, 'write', and_start_another)
  assert runs.train(run) == 0
  assert codes == [2]
  assert 'another process is training in' in capsys.readouterr().err
  _ends_like(run, finished_run)


class TestCorruptPicture:
  """One file of forty; every step reads all of them."""

  @pytest.fixture
  def folder(self, picture_folder, tmp_path):
    folder = tmp_path / 'pictures'
    shutil.copytree(picture_folder, folder)
    return folder

  def _train(self, run, folder, strict):
    return runs.train(
      run,
      f'--data={folder}',
      '--config.input.image_size=32',
      '--config.augment.size=32',
      '--config.train.batch_size=40',
      f'--config.input.strict={strict}',
    )

  def _damage(self, picture):
    picture.write_bytes(bytes(picture.stat().st_size))

  def test_is_replaced_by_the_same_after_a_stop(self, folder, tmp_path):
    self._damage(folder / '07.png')
    undisturbed = tmp_path / 'undisturbed'
    assert self._train(undisturbed, folder, strict=False) == 0
    run = _stopped(undisturbed, tmp_path / 'run')
    assert self._train(run, folder, strict=False) == 0
    _ends_like(run, undisturbed)

  def test_ends_a_strict_run_which_goes_on_once_it_is_mended(
    self, folder, tmp_path, capsys
  ):
    undisturbed = tmp_path / 'undisturbed'
    assert self._train(undisturbed, folder, strict=True) == 0
    run = tmp_path / 'run'
    sound = (folder / '07.png').read_bytes()
    self._damage(folder / '07.png')
    assert self._train(run, folder, strict=True) == 2
    assert '07.png cannot be read' in capsys.readouterr().err.splitlines()[-1]
    (folder / '07.png').write_bytes(sound)
    assert self._train(run, folder, strict=True) == 0
    _ends_like(run, undisturbed)

  def test_that_was_sound_when_the_run_began_is_other_data(
    self, folder, tmp_path, capsys
  ):
    undisturbed = tmp_path / 'undisturbed'
    assert self._train(undisturbed, folder, strict=False) == 0
    run = _stopped(undisturbed, tmp_path / 'run')
    sound, status = (folder / '07.png').read_bytes(), os.stat(folder / '07.png')
    self._damage(folder / '07.png')
    os.utime(folder / '07.png', ns=(status.st_atime_ns, status.st_mtime_ns))
    assert self._train(run, folder, strict=False) == 2
    assert 'has changed since step' in capsys.readouterr().err.splitlines()[-1]
    (folder / '07.png').write_bytes(sound)
    assert self._train(run, folder, strict=False) == 0
    _ends_like(run, undisturbed)
