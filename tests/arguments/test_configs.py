import argparse

import pytest

from jaxssl.arguments import configs
from jaxssl.errors import UserError
from jaxssl.train.workdir import Workdir

SMALL = ('--method', 'moco_v2', '--data', 'digits')


def _resolved(base, *changes):
  parser = argparse.ArgumentParser()
  configs.add_arguments(parser)
  return configs.resolve(parser.parse_args(base), changes)


def test_another_encoder_keeps_only_values_that_it_takes():
  made = _resolved(
    ['--config', 'configs/quickstart.py'], '--config.encoder.name=vit_ti4'
  )
  assert made['encoder']['name'] == 'vit_ti4'
  # The ResNet's stem is 'cifar', which a ViT does not have.
  assert made['encoder']['stem'] == 'patch'


@pytest.mark.parametrize(
  ('changes', 'steps', 'epochs'),
  [
    ((), None, 4.5),
    (('train.steps=5',), 0, None),
    (('train.epochs=5',), None, 0.5),
    # What is given stays; none is beside it by default.
    (('train.steps=5', 'optim.learning_rate.warmup_epochs=3'), None, 3),
    (('train.steps=5', 'optim.learning_rate.warmup_steps=9'), 9, None),
  ],
)
def test_only_a_default_warm_up_follows_the_length(changes, steps, epochs):
  made = _resolved(SMALL, *(f'--config.{change}' for change in changes))
  rate = made['optim']['learning_rate']
  assert (rate['warmup_steps'], rate['warmup_epochs']) == (steps, epochs)


def test_a_length_that_is_taken_back_does_not_harm_the_defaults():
  made = _resolved(SMALL, '--config.train.steps=None')
  assert made['optim']['learning_rate']['warmup_epochs'] == 4.5


def test_a_length_that_is_no_number_is_refused_by_name():
  with pytest.raises(UserError, match=r"train.steps takes an integer.*'x'"):
    _resolved(SMALL, '--config.train.steps=x')


def test_a_schedule_begins_at_the_default_of_its_number():
  made = _resolved(SMALL, '--config.method.momentum.name=cosine')
  assert made['method']['momentum']['start'] == 0.99


def test_plain_arguments_are_keys():
  made = _resolved(
    (*SMALL, '--steps=7', '--batch_size=16', '--image_size=24', '--epochs=2')
  )
  assert made['train']['steps'] == 7
  assert made['train']['batch_size'] == 16
  assert made['augment']['size'] == made['input']['image_size'] == 24
  assert made['optim']['learning_rate']['warmup_steps'] == 0


def test_plain_arguments_change_a_file():
  made = _resolved(['--config', 'configs/mae_photos.py'])
  other = _resolved(
    ['--config', 'configs/mae_photos.py', '--epochs=2', '--image_size=16']
  )
  assert made['train']['steps'] == 600
  assert (other['train']['steps'], other['train']['epochs']) == (None, 2)
  assert other['augment']['size'] == other['eval']['image_size'] == 16
  # Pictures that the device crops shrink with the views.
  assert made['input']['image_size'] == 64
  assert other['input']['image_size'] == 32


def test_a_run_that_has_begun_keeps_its_defaults(tmp_path):
  asked = (*SMALL, '--workdir', str(tmp_path))
  parser = argparse.ArgumentParser()
  configs.add_arguments(parser)
  parser.add_argument('--workdir')
  first = configs.resolve(parser.parse_args(asked), ('--config.seed=3',))
  Workdir(tmp_path).keep_config(first)
  assert configs.resolve(parser.parse_args(asked), ()) == first
  longer = configs.resolve(parser.parse_args([*asked, '--steps=9']), ())
  assert longer['train'] == {**first['train'], 'steps': 9}
  other = parser.parse_args([*asked, '--encoder=resnet34'])
  assert configs.resolve(other, ())['seed'] == 0
