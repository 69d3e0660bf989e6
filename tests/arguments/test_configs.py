import argparse

import pytest

from jaxssl.arguments import configs
from jaxssl.errors import UserError

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
    ((), None, 10),
    (('train.steps=5',), 0, None),
    (('train.epochs=5',), None, 0.5),
    # What is given stays, and is refused where it does not fit.
    (('train.steps=5', 'optim.learning_rate.warmup_epochs=3'), None, 3),
    (('train.steps=5', 'optim.learning_rate.warmup_steps=9'), 9, 10),
  ],
)
def test_only_a_default_warm_up_follows_the_length(changes, steps, epochs):
  made = _resolved(SMALL, *(f'--config.{change}' for change in changes))
  rate = made['optim']['learning_rate']
  assert (rate['warmup_steps'], rate['warmup_epochs']) == (steps, epochs)


def test_a_length_that_is_taken_back_does_not_harm_the_defaults():
  made = _resolved(SMALL, '--config.train.steps=None')
  assert made['optim']['learning_rate']['warmup_epochs'] == 10


def test_a_length_that_is_no_number_is_refused_by_name():
  with pytest.raises(UserError, match=r"train.steps takes an integer.*'x'"):
    _resolved(SMALL, '--config.train.steps=x')


def test_a_schedule_begins_at_the_default_of_its_number():
  made = _resolved(
    (*SMALL[:2], '--data', 'cars'), '--config.method.momentum.name=cosine'
  )
  assert made['method']['momentum']['start'] == 0.999
