"""A finished run goes on for more steps, and its start is not forgotten."""

import json

import pytest

from jaxssl.train.workdir import Workdir
from tests.commands import runs


@pytest.fixture(scope='module')
def longer_run(tmp_path_factory):
  workdir = tmp_path_factory.mktemp('longer') / 'run'
  assert runs.train(workdir) == 0
  assert runs.jaxssl('train', f'--workdir={workdir}', '--steps=6') == 0
  return workdir


def _steps(path):
  return json.loads(path.read_text())['train']['steps']


def test_it_goes_on_and_says_what_that_means(longer_run):
  steps = [line['step'] for line in runs.metrics(longer_run)]
  assert steps == [1, 2, 3, 4, 5, 6]
  log = (longer_run / 'train.log').read_text()
  assert 'goes on from step 4 to 6 instead of 4' in log
  assert (
    json.loads((longer_run / 'export' / 'encoder.json').read_text())['step']
    == 6
  )


def test_both_configs_are_kept(longer_run):
  assert _steps(longer_run / 'config.json') == 6
  assert _steps(longer_run / 'config.until-4.json') == 4


def test_it_goes_on_again_without_the_argument(longer_run):
  before = (longer_run / 'config.json').read_bytes()
  assert runs.jaxssl('train', f'--workdir={longer_run}') == 0
  assert (longer_run / 'config.json').read_bytes() == before
  begun_with = Workdir(longer_run).config_at_start({})
  assert begun_with['train']['steps'] == 4


@pytest.mark.parametrize(
  ('more', 'words'),
  [
    ('--steps=3', 'a run of 6 steps; it can become longer, not 3'),
    ('--config.seed=8', 'another config'),
  ],
)
def test_nothing_else_may_change(longer_run, capsys, more, words):
  assert runs.jaxssl('train', f'--workdir={longer_run}', more) == 2
  assert words in capsys.readouterr().err
