import difflib

import pytest

from jaxssl import cli, defaults, nearest
from jaxssl.augment.recipes import RECIPES
from jaxssl.config import flatten, shipped
from jaxssl.config.schema import complete
from jaxssl.data.sources import SOURCES
from jaxssl.errors import unknown
from jaxssl.evals.protocols import PROTOCOLS
from jaxssl.methods import METHODS
from jaxssl.models.variants import encoder_names, text_encoder_names
from jaxssl.ops.schedules import SCHEDULES
from jaxssl.planning.chips import GPUS, TPUS
from jaxssl.train.algorithms import OPTIMIZERS


def _keys(method):
  return list(
    flatten(complete(defaults.default_config(method, None, 'photos')))
  )


TABLES = {
  'commands': list(cli.COMMANDS),
  'configs': list(shipped.configs()),
  'data': list(SOURCES),
  'encoders': list(encoder_names()),
  'gpus': list(GPUS),
  'keys': _keys('simclr'),
  'methods': list(METHODS),
  'optimizers': list(OPTIMIZERS),
  'protocols': list(PROTOCOLS),
  'recipes': list(RECIPES),
  'schedules': list(SCHEDULES),
  'text encoders': list(text_encoder_names()),
  'tpus': list(TPUS),
}


@pytest.mark.parametrize(
  ('table', 'name', 'expected'),
  [
    ('encoders', 'vit_s', 'vit_s16'),
    ('encoders', 'vit', 'vit_s16'),
    ('encoders', 'vit_b', 'vit_b16'),
    ('encoders', 'ViT-S/16', 'vit_s16'),
    ('encoders', 'vits16', 'vit_s16'),
    ('encoders', 'vit_small_patch16_224', 'vit_s16'),
    ('encoders', 'vit_base_patch8', 'vit_b8'),
    ('encoders', 'vit_small', 'vit_s16'),
    ('encoders', 'resnet', 'resnet50'),
    ('encoders', 'ResNet-50', 'resnet50'),
    ('encoders', 'resnet50d', 'resnet50'),
    ('encoders', 'resnt18', 'resnet18'),
    ('encoders', 'dinov2', 'dinov2_vit_s14'),
    ('encoders', 'clip', 'clip_vit_b16'),
    ('methods', 'simclr2', 'simclr'),
    ('methods', 'SimCLR', 'simclr'),
    ('methods', 'dino_v3', 'dinov3'),
    ('methods', 'moco', 'moco_v1'),
    ('methods', 'mocov3', 'moco_v3'),
    ('methods', 'barlow', 'barlow_twins'),
    ('methods', 'barlowtwins', 'barlow_twins'),
    ('protocols', 'zero-shot', 'zeroshot'),
    ('protocols', 'few_shot', 'fewshot'),
    ('protocols', 'lin', 'linear'),
    ('protocols', 'linear_probe', 'linear'),
    ('configs', 'simclr_resnet18', 'simclr_resnet18_cifar10'),
    ('keys', 'batch_size', 'train.batch_size'),
    ('keys', 'train.step', 'train.steps'),
    ('keys', 'train.batchsize', 'train.batch_size'),
    ('keys', 'epochs', 'train.epochs'),
    ('keys', 'optim.lr', 'optim.learning_rate.start'),
    ('keys', 'learning_rate', 'optim.learning_rate.start'),
    ('keys', 'optim.weightdecay', 'optim.weight_decay'),
    ('commands', 'evaluate', 'eval'),
    ('commands', 'trian', 'train'),
    ('commands', 'visualise', 'visualize'),
    ('optimizers', 'adam', 'adamw'),
    ('gpus', 'H100', 'h100'),
  ],
)
def test_the_one_that_is_meant_comes_first(table, name, expected):
  assert nearest.nearest(name, TABLES[table])[0] == expected


@pytest.mark.parametrize('table', TABLES)
def test_every_slip_of_one_letter_offers_the_name(table):
  """Or three others that are no farther from what was given."""
  options, missed = TABLES[table], []
  # Names times places times names to compare with: not all of long tables.
  stride = 1 + len(options) // 30
  for number, option in enumerate(options):
    for name in _slips(option, range(number % stride, len(option), stride)):
      found = nearest.nearest(name, options)
      if option in found or name in options:
        continue
      distance = _alike(name, option)
      nearer = [o for o in found if o.startswith(name) or name.startswith(o)]
      nearer += [o for o in found if _alike(name, o) >= distance]
      if len(found) < 3 or not nearer:
        missed.append((name, option, found))
  assert missed == []


@pytest.mark.parametrize('table', TABLES)
def test_nonsense_offers_nothing(table):
  assert nearest.nearest('qqqqqqqqqqqq', TABLES[table]) == []
  assert nearest.hint('qqqqqqqqqqqq', TABLES[table]) == ''
  assert 'known: ' in str(unknown('name', 'qqqqqqqqqqqq', TABLES[table]))


def test_most():
  assert nearest.hint('vit_s', TABLES['encoders'], most=1) == (
    "did you mean 'vit_s16'?"
  )
  assert len(nearest.nearest('vit', TABLES['encoders'], most=5)) == 5


def _slips(option, places):
  """One letter less, two exchanged, another separator, capitals."""
  for place in places:
    yield option[:place] + option[place + 1 :]
    yield option[:place] + option[place : place + 2][::-1] + option[place + 2 :]
  yield option.replace('_', '-')
  yield option.upper()


def _alike(name, option):
  return difflib.SequenceMatcher(None, name, option).ratio()
