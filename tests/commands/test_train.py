"""`jaxssl train` from start to end, and what lies in the workdir then."""

import json
import shutil

import chex
import numpy as np
from PIL import Image
import pytest

from jaxssl import data
from jaxssl.weights import exported
from tests.commands import runs


def test_workdir_holds_what_is_promised(finished_run):
  config = json.loads((finished_run / 'config.json').read_text())
  assert config['train']['steps'] == 4
  assert config['encoder']['name'] == 'vit_ti8'
  assert config['seed'] == 0
  checkpoints = {p.name for p in (finished_run / 'checkpoints').iterdir()}
  assert checkpoints == {'2', '4'}
  assert 'done: 4 steps' in (finished_run / 'train.log').read_text()
  assert exported.load_encoder(finished_run / 'export').step == 4


def test_metrics(finished_run):
  records = runs.metrics(finished_run)
  assert [record['step'] for record in records] == [1, 2, 3, 4]
  assert {
    'loss',
    'grad_norm',
    'learning_rate',
    'bad_records',
    'images_per_second',
    'seconds_left',
    'input_wait',
  } <= records[-1].keys()


def test_finished_run_is_left_as_it_is(finished_run, tmp_path, capsys):
  run = tmp_path / 'run'
  shutil.copytree(finished_run, run)
  before = runs.files(run / 'checkpoints')
  assert runs.train(run) == 0
  assert runs.files(run / 'checkpoints') == before
  # What it was told at its start is in its log.
  assert capsys.readouterr().err.splitlines()[1].startswith('resuming from')


def test_workdir_alone_goes_on(finished_run, tmp_path):
  run = tmp_path / 'run'
  shutil.copytree(finished_run, run)
  shutil.rmtree(run / 'export')
  assert runs.jaxssl('train', f'--workdir={run}') == 0
  chex.assert_trees_all_equal(
    exported.load_encoder(run / 'export').variables,
    exported.load_encoder(finished_run / 'export').variables,
  )


def test_online_evaluation_at_both_ends(tmp_path):
  assert runs.train(tmp_path / 'run', '--config.eval.steps=100') == 0
  found = [r['step'] for r in runs.metrics(tmp_path / 'run') if 'knn/top1' in r]
  assert found == [0, 4]


def test_a_start_opens_the_pipeline_once(tmp_path, monkeypatch):
  opened, train_batches = [], data.train_batches

  def noted(*args, **kwargs):
    opened.append(kwargs['first_step'])
    return train_batches(*args, **kwargs)

  monkeypatch.setattr(data, 'train_batches', noted)
  assert runs.train(tmp_path / 'run') == 0
  assert opened == [0]
  assert runs.train(tmp_path / 'run') == 0
  assert opened == [0, 4]


def test_restart_before_the_first_checkpoint_writes_no_line_twice(tmp_path):
  run = tmp_path / 'run'
  more = ('--config.eval.steps=100', '--config.train.checkpoint_steps=100')
  assert runs.train(run, *more) == 0
  steps = [record['step'] for record in runs.metrics(run)]
  shutil.rmtree(run / 'checkpoints')  # as if killed before it was written
  assert runs.train(run, *more) == 0
  assert [record['step'] for record in runs.metrics(run)] == steps


def test_config_file_and_arguments_make_the_same_run(finished_run, tmp_path):
  config = json.loads((finished_run / 'config.json').read_text())
  config['train']['steps'] = 1
  file = tmp_path / 'config.py'
  file.write_text(f'def get_config():\n  return {config!r}\n')
  run = tmp_path / 'run'
  arguments = ('train', f'--config={file}', '--config.train.steps=4')
  assert runs.jaxssl(*arguments, f'--workdir={run}') == 0
  chex.assert_trees_all_equal(
    exported.load_encoder(run / 'export').variables,
    exported.load_encoder(finished_run / 'export').variables,
  )


def test_run_goes_on_in_the_other_mode_on_more_devices(finished_run, tmp_path):
  run = tmp_path / 'run'
  shutil.copytree(finished_run, run)
  shutil.rmtree(run / 'checkpoints' / '4')
  other = ('--config.train.mode=pmap', '--config.train.num_devices=2')
  assert runs.train(run, *other) == 0
  # Not the parameters: where a gradient is zero but for rounding (the bias of
  # the keys), Adam makes whole steps of it in whichever direction.
  losses, wanted = (
    [record['loss'] for record in runs.metrics(workdir)]
    for workdir in (run, finished_run)
  )
  np.testing.assert_allclose(losses, wanted, rtol=1e-4)


class TestUnreadablePicture:
  """One file of forty is no picture."""

  FOLDER = (
    '--config.input.image_size=32',
    '--config.augment.size=32',
    '--config.eval.steps=2',
  )

  @pytest.fixture
  def folder(self, picture_folder, tmp_path):
    folder = tmp_path / 'pictures'
    shutil.copytree(picture_folder, folder)
    (folder / '07.png').write_bytes(b'\x89PNG, but nothing else')
    return folder

  def test_is_counted_and_named_once(self, folder, tmp_path):
    run = tmp_path / 'run'
    assert runs.train(run, f'--data={folder}', *self.FOLDER) == 0
    counts = [r['bad_records'] for r in runs.metrics(run) if 'loss' in r]
    assert counts[-1] == 1
    assert (run / 'train.log').read_text().count('07.png') == 1

  def test_ends_a_strict_run(self, folder, tmp_path, capsys):
    strict = '--config.input.strict=true'
    run = tmp_path / 'run'
    assert runs.train(run, f'--data={folder}', *self.FOLDER, strict) == 2
    assert '07.png cannot be read' in capsys.readouterr().err.splitlines()[-1]


def test_divergence_names_metric_and_step_and_keeps_a_checkpoint(
  tmp_path, capsys
):
  run = tmp_path / 'run'
  huge = (
    '--config.optim.learning_rate.start=1e30',
    '--config.optim.lr_scaling=none',
    '--config.train.steps=8',
    '--config.train.checkpoint_steps=1',
  )
  assert runs.train(run, *huge) == 2
  line = capsys.readouterr().err.splitlines()[-1]
  assert 'training has diverged' in line
  step = int(line.partition(' at step ')[2].partition(';')[0])
  kept = max(int(p.name) for p in (run / 'checkpoints').iterdir())
  assert kept < step
  assert f'last good checkpoint: step {kept}' in line


def test_pictures_of_many_kinds(tmp_path):
  folder = tmp_path / 'pictures' / 'nested'
  folder.mkdir(parents=True)
  picture = Image.linear_gradient('L').resize((50, 40))
  for number, (mode, ending) in enumerate(
    [
      ('L', 'png'),
      ('RGB', 'jpg'),
      ('RGBA', 'png'),
      ('CMYK', 'jpg'),
      ('RGB', 'webp'),
      ('P', 'gif'),
      ('I;16', 'png'),
    ]
  ):
    for copy in range(3):
      file = folder / f'{number}_{copy}.{ending}'
      source = picture.convert('I') if mode == 'I;16' else picture
      source.convert(mode).save(file)
  run = tmp_path / 'run'
  arguments = TestUnreadablePicture.FOLDER
  data = f'--data={tmp_path / "pictures"}'
  assert runs.train(run, data, *arguments, '--config.train.steps=1') == 0
  counts = [r['bad_records'] for r in runs.metrics(run) if 'loss' in r]
  assert counts == [0]


@pytest.mark.parametrize('name', ['convnext_t', 'convnextv2_atto'])
def test_convnext_trains_by_simclr(name, tmp_path):
  workdir = tmp_path / 'run'
  arguments = [
    'train',
    f'--workdir={workdir}',
    '--method=simclr',
    f'--encoder={name}',
    '--data=digits',
    *runs.LENGTH,
    '--config.encoder.blocks=(1,1,1,1)',
    '--config.encoder.width=8',
    '--config.encoder.drop_path=0.2',
    '--config.train.steps=2',
  ]
  assert runs.jaxssl(*arguments) == 0
  records = runs.metrics(workdir)
  for key in ('loss', 'grad_norm'):
    values = [record[key] for record in records]
    assert len(values) == 2
    assert np.isfinite(values).all()
    assert min(values) > 0
  assert exported.load_encoder(workdir / 'export').encoder.stem_size == 1
