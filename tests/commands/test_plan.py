import json

import pytest

from jaxssl import cli
from jaxssl.commands import plan

CONFIG = '--config=configs/quickstart.py'


def test_gpu_needs_no_compiler(tmp_path, capsys):
  out = tmp_path / 'plan.json'
  arguments = ['plan', CONFIG, '--gpu', 'h100', '--num_gpus=8', f'--out={out}']
  assert cli.main(arguments) == 0
  found = json.loads(out.read_text())
  assert found['batch'] == 64
  per_image = found['model GFLOP an image, forward and backward'] * 1e9
  rate = found['images/s at 40% of the peak']
  assert rate == pytest.approx(0.4 * 8 * 989e12 / per_image)
  assert '8 x h100' in capsys.readouterr().out


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    ([], 'either --topology'),
    (['--gpu=h100', '--topology=v5e:2x2'], 'either --topology'),
    (['--gpu=h10'], "did you mean 'h100'"),
    (['--topology=v5e'], 'v5e:4x4'),
    (['--gpu=h100', '--utilisation=40'], '--utilisation is 40'),
    (['--gpu=h100', '--largest_batch'], 'needs --topology'),
    (['--gpu=h100', '--num_gpus=0'], '--num_gpus'),
  ],
)
def test_wrong_arguments(arguments, message, capsys):
  assert cli.main(['plan', CONFIG, *arguments]) == cli.EXIT_USAGE
  assert message in capsys.readouterr().err


@pytest.mark.parametrize(
  ('limit', 'wanted'), [(1000, 512), (64, 64), (63, 32), (5, None)]
)
def test_largest_batch(limit, wanted):
  asked = []

  def fits(rows):
    asked.append(rows)
    return rows <= limit

  assert plan.largest(fits, start=64, smallest=8) == wanted
  assert len(asked) == len(set(asked))
