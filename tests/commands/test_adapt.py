"""A trained encoder goes on learning: `jaxssl adapt`."""

import json
import shutil

import jax
import numpy as np
import pytest

import jaxssl
from jaxssl.runs import encoders
from jaxssl.train.workdir import Workdir
from jaxssl.weights.exported import load_encoder
from tests.commands import runs

SHORT = (
  '--steps=4',
  '--batch_size=16',
  '--config.train.num_devices=1',
  '--config.train.log_steps=1',
  '--config.train.checkpoint_steps=2',
  '--config.train.tensorboard=false',
  '--config.eval.steps=2',
  '--config.eval.limit=64',
  '--config.head.num_layers=2',
  '--config.head.out_dim=8',
)
# So fast that the encoder forgets what it knew.
RUINOUS = (
  '--config.optim.learning_rate.start=3',
  '--config.optim.learning_rate.warmup_steps=0',
  '--config.optim.freeze_steps=0',
  '--config.optim.layer_decay=none',
)


def _adapt(model, workdir, *more):
  return runs.jaxssl(
    'adapt', f'--from={model}', '--data=digits', f'--workdir={workdir}',
    '--method=simclr', *SHORT, *more,
  )  # fmt: skip


def _equal(one, other):
  jax.tree.map(np.testing.assert_array_equal, one, other)


@pytest.fixture(scope='module')
def adapted(finished_run, tmp_path_factory):
  workdir = tmp_path_factory.mktemp('adapted') / 'run'
  assert _adapt(finished_run, workdir) == 0
  return workdir


def test_config_says_what_was_chosen(adapted, finished_run):
  config = json.loads((adapted / 'config.json').read_text())
  start = load_encoder(finished_run / 'export')
  assert config['train']['init_encoder'] == str(finished_run)
  for key in ('dim', 'depth', 'num_heads'):
    assert config['encoder'][key] == start.section[key]
  assert tuple(config['input']['mean']) == start.mean
  assert config['optim']['freeze_steps'] == 1
  assert config['optim']['layer_decay'] == 0.75
  assert config['eval']['guard'] == 'keep'


def test_step_zero_is_the_model(adapted, finished_run, tmp_path):
  looks = json.loads((adapted / 'guard' / 'looks.json').read_text())
  assert [look['step'] for look in looks] == [0, 2, 4]
  assert looks[0]['knn/agreement'] == 1.0
  run = shutil.copytree(finished_run, tmp_path / 'run')
  command = ('eval', 'knn', f'--workdir={run}', '--limit=64')
  assert runs.jaxssl(*command) == 0
  result = run / 'results' / 'knn-v1-digits.json'
  found = json.loads(result.read_text())['metrics']['top1']
  assert looks[0]['knn/top1'] == found


def test_the_best_can_be_evaluated_loaded_and_exported(adapted, tmp_path):
  best = adapted / 'export' / 'best'
  looks = json.loads((adapted / 'guard' / 'looks.json').read_text())
  top1 = max(look['knn/top1'] for look in looks)
  step = next(x['step'] for x in looks if x['knn/top1'] == top1)
  exported = load_encoder(best)
  assert exported.step == step
  if step:
    of_step = encoders.load(Workdir(adapted), step=step)
    _equal(exported.variables, of_step.variables)
  _equal(jaxssl.load(best).variables, exported.variables)
  again = tmp_path / 'again'
  command = ('export', 'safetensors', f'--workdir={best}', f'--out={again}')
  assert runs.jaxssl(*command) == 0
  _equal(load_encoder(again).variables, exported.variables)
  command = ('eval', 'knn', f'--workdir={best}', '--data=digits', '--limit=64')
  assert runs.jaxssl(*command) == 0


def test_table_and_reason(finished_run, tmp_path, capsys):
  assert _adapt(finished_run, tmp_path / 'run', '--steps=2') == 0
  told = capsys.readouterr()
  assert 'pictures are few' in told.err
  assert 'released weights' not in told.err  # it has weights to start from
  assert 'after 1 of 2 steps in which only what starts fresh' in told.err
  lines = told.out.splitlines()
  assert lines[0].split()[:2] == ['kNN', '%']
  assert lines[2].startswith('before')
  assert any(line.startswith('after, step 2') for line in lines)
  assert 'standard error of the paired difference over 64 pictures' in told.out


def test_a_run_that_goes_on_ends_as_one_that_was_not_stopped(
  adapted, finished_run, tmp_path
):
  # The model is gone by then, as are the last checkpoint and all exports.
  model, run = tmp_path / 'model', tmp_path / 'run'
  shutil.copytree(finished_run, model)
  shutil.copytree(adapted, run)
  config = run / 'config.json'
  config.write_text(config.read_text().replace(str(finished_run), str(model)))
  shutil.rmtree(model)
  for folder in ('checkpoints/4', 'export'):
    shutil.rmtree(run / folder)
  # Its checkpoints are of the config before, so that is put back.
  shutil.copy(adapted / 'config.json', config)
  assert runs.jaxssl('adapt', f'--workdir={run}') == 0
  for name in ('guard/looks.json', 'export/encoder.safetensors'):
    assert (run / name).read_bytes() == (adapted / name).read_bytes(), name
  best = 'export/best/encoder.safetensors'
  if load_encoder(adapted / 'export' / 'best').step > 2:
    assert (run / best).read_bytes() == (adapted / best).read_bytes()


def test_the_guard_keeps_the_best_and_ends_the_run(
  finished_run, tmp_path, capsys
):
  run = tmp_path / 'run'
  margin = ('--guard=stop', '--config.eval.guard_margin=0.0')
  assert _adapt(finished_run, run, *RUINOUS, *margin) == 3
  told = capsys.readouterr()
  assert 'the online kNN fell from' in told.err
  assert 'the run has ended' in told.err
  assert 'best: step 0, in export/best' in told.out
  start = load_encoder(finished_run / 'export')
  best = load_encoder(run / 'export' / 'best')
  assert best.step == 0
  _equal(best.variables, start.variables)
  before = runs.files(run / 'checkpoints')
  assert runs.jaxssl('adapt', f'--workdir={run}') == 3
  assert runs.files(run / 'checkpoints') == before
  assert runs.jaxssl('train', f'--workdir={run}') == 3


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    (('--data=digits',), 'give --from MODEL'),
    (('--from={run}',), 'give --from MODEL'),
    (('--from={run}', '--data=digits', '--method=dvae'), "'dvae' cannot start"),
    (('--from={run}', '--data=digits', '--method=dinno'), "'dinno'"),
    (('--from=none', '--data=digits'), "no encoder in 'none'"),
  ],
)
def test_mistakes_are_one_line_and_leave_nothing(
  arguments, message, finished_run, in_tmp, capsys
):
  given = [argument.format(run=finished_run) for argument in arguments]
  assert runs.jaxssl('adapt', '--workdir=new', *given) == 2
  told = capsys.readouterr().err.strip().splitlines()
  assert message in told[-1]
  assert not (in_tmp / 'new').exists()


def test_a_workdir_is_of_one_model(adapted, finished_run, tmp_path, capsys):
  other = tmp_path / 'other'
  shutil.copytree(finished_run, other)
  assert _adapt(other, adapted) == 2
  assert 'use a new workdir' in capsys.readouterr().err
  assert _adapt(adapted, finished_run) == 2
  assert 'from random weights' in capsys.readouterr().err
