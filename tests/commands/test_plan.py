import functools
import json
from unittest import mock

import pytest

from jaxssl import cli, defaults
from jaxssl.commands import plan
from jaxssl.config import schema
from jaxssl.errors import UserError
from jaxssl.planning import abstract, chips, compiled, cuda

CONFIG = '--config=configs/quickstart.py'


SMALL = (
  '--config.encoder.depth=18',
  '--config.encoder.width=0.125',
  '--config.train.batch_size=16',
)


@pytest.mark.parametrize(
  ('fits', 'needed', 'left'), [(True, 17, 0), (True, 15, 1), (False, 17, -1)]
)
def test_a_program_that_fits_leaves_no_less_than_nothing(fits, needed, left):
  chip = chips.tpu_of('v5e:2x2')
  gib = 2**30
  report = compiled.Report(
    num_chips=4,
    seconds=1.0,
    memory={},
    needed=chip.memory + (needed - 16) * gib,
    fits=fits,
  )
  assert plan._of_report(report, chip)['left, GiB'] == left


@pytest.mark.skipif(
  not cuda.has_compiler(),
  reason='the compiler for GPUs is not installed: pip install "jaxssl[cuda]"',
)
def test_a_step_is_compiled_for_gpus_with_its_bound(tmp_path, capsys):
  out = tmp_path / 'plan.json'
  arguments = [CONFIG, '--gpu=h100', '--num_gpus=2', f'--out={out}', *SMALL]
  assert cli.main(['plan', *arguments]) == 0
  found = json.loads(out.read_text())
  assert (found['on'], found['batch'], found['fits']) == ('2 x h100', 16, True)
  assert found['all-reduce, MiB'] > 0
  assert found['temporary, GiB'] > 0
  heaviest = found['heaviest kernels']
  assert len(heaviest) == 10
  assert all('resnet' in k['place'].lower() for k in heaviest[:1])
  seconds = found['roofline, ms'] / 1e3
  assert found['images/s at the roofline'] == pytest.approx(16 / seconds)
  moved = found['moved by them, GiB'] * 2**30
  assert seconds >= moved / 3.35e12
  per_image = found['model GFLOP an image, forward and backward'] * 1e9
  assert found['images/s if 40% of the peak were reached'] == pytest.approx(
    0.4 * 2 * 989e12 / per_image
  )
  # A chip has half of the batch. It does not compute the gradient of the
  # pictures, which the model's count has: 0.9 % of this network.
  products = found['products and convolutions of a chip, GFLOP'] * 1e9
  assert 0.98 * per_image * 8 < products < per_image * 8
  assert '2 x h100' in capsys.readouterr().out


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    ([], 'either --topology'),
    (['--gpu=h100', '--topology=v5e:2x2'], 'either --topology'),
    (['--gpu=h10'], "did you mean 'h100'"),
    (['--topology=v5e'], 'v5e:4x4'),
    (['--gpu=h100', '--utilisation=40'], '--utilisation is 40'),
    (['--gpu=h100', '--num_gpus=0'], '--num_gpus'),
    (['--gpu=h100', '--num_gpus=20'], '20 GPUs do not fill hosts of 8'),
    (['--gpu=h100', '--num_gpus=12'], '12 GPUs do not fill hosts of 8'),
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


def test_a_batch_that_the_method_refuses_does_not_fit():
  def report(rows):
    if rows > 64:
      raise UserError('a queue of 512 is no multiple')
    return mock.Mock(fits=True)

  fits = functools.partial(plan._fits, report)
  assert plan.largest(fits, start=64, smallest=8) == 64


def test_a_batch_in_parts_has_the_arithmetic_of_one():
  """The second pass of the networks is no arithmetic of the model."""

  def counted(parts):
    config = defaults.default_config('simclr', 'vit_ti16', 'digits')
    for section, values in (
      ('train', {'batch_size': 8, 'steps': 1, 'micro_batches': parts}),
      ('encoder', {'dim': 16, 'depth': 1, 'num_heads': 2}),
      ('input', {'image_size': 32}),
      ('augment', {'size': 32}),
    ):
      config[section] = config.get(section, {}) | values
    config = schema.complete(config)
    planned = abstract.plan(config, num_examples=100)
    return plan._model_flops(config, planned, 100, 'cuda')

  assert counted(2) == counted(1)
