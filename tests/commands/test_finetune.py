"""`jaxssl eval finetune` and `fewshot`: what is written, refused, resumed."""

import json
import shutil

import pytest

from jaxssl.runs import fine_tuning
from jaxssl.train.loop import Preempted
from tests.commands import runs

FEW = (
  '--epochs=1',
  '--min_steps=0',
  '--batch_size=16',
  '--warmup_epochs=0',
  '--limit=32',
)


@pytest.fixture
def run(finished_run, tmp_path):
  run = tmp_path / 'run'
  shutil.copytree(finished_run, run)
  return run


def test_finetune_writes_a_result_and_an_encoder(run, capsys):
  assert runs.jaxssl('eval', 'finetune', f'--workdir={run}', *FEW) == 0
  result = json.loads((run / 'results' / 'finetune-v3-digits.json').read_text())
  assert result['settings']['epochs'] == 1.0
  assert result['metrics']['num_steps'] == 2
  assert 0 <= result['metrics']['top1'] <= 1
  assert 'finetune-v3' in capsys.readouterr().out
  (place,) = (run / 'finetune').iterdir()
  assert (place / 'export' / 'classifier.safetensors').exists()
  arguments = (f'--workdir={place}', '--data=digits', '--limit=32')
  assert runs.jaxssl('eval', 'knn', *arguments) == 0


def test_stop_is_code_42(run, monkeypatch):
  def stopped(*args, **kwargs):
    raise Preempted(1, 'SIGTERM')

  monkeypatch.setattr(fine_tuning, 'train', stopped)
  assert runs.jaxssl('eval', 'finetune', f'--workdir={run}', *FEW) == 42


def test_fewshot(run):
  arguments = ('--shots', '1', '2', '--draws=2', '--limit=200')
  alone = (f'--workdir={run}', '--no_baselines')
  assert runs.jaxssl('eval', 'fewshot', *alone, *arguments) == 0
  result = json.loads((run / 'results' / 'fewshot-v2-digits.json').read_text())
  metrics = result['metrics']
  assert metrics['top1'] == metrics['top1_2shot']
  assert metrics['std_1shot'] >= 0


@pytest.mark.parametrize(
  ('arguments', 'words'),
  [
    (('finetune', '--layer=block00'), ('--layer', 'frozen')),
    (('finetun',), ("'finetune'",)),
    (('finetune', '--mixupp=1'), ("'--mixup'",)),
    (('finetune', '--epochs=much'), ('a number', "'much'")),
    (('finetune', '--pool=max', *FEW), ("ViT pool 'max'",)),
    (('fewshot', '--shots=9999'), ('9999 shots', '--shots 1 2')),
  ],
)
def test_mistakes_are_one_line(arguments, words, run, capsys):
  assert runs.jaxssl('eval', *arguments, f'--workdir={run}') == 2
  error = capsys.readouterr().err
  message = [line for line in error.splitlines() if 'jaxssl: ' in line]
  assert len(message) == 1
  for word in words:
    assert word in message[0]
