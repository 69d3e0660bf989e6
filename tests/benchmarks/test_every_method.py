import argparse
import pathlib

import chex
import jax.numpy as jnp
import optax
import pytest

from benchmarks.quality import small_runs
from benchmarks.speed import methods
from jaxssl import config
from jaxssl.methods import METHODS

# They need captions.
PAIRS = {'clip', 'coca', 'siglip', 'siglip2'}
# Supervised training and pairs have no published config on ImageNet.
PUBLISHED = {
  'barlow_twins',
  'beit',
  'colorization',
  'dino',
  'dvae',
  'jigsaw',
  'mae',
  'moco_v1',
  'moco_v2',
  'moco_v3',
  'relative_patch',
  'rotation',
  'simclr',
  'vicreg',
}


def test_the_small_runs_are_of_every_image_method():
  assert set(small_runs.RUNS) == METHODS.keys() - PAIRS
  assert small_runs.RUNS.index('dvae') < small_runs.RUNS.index('beit')
  assert small_runs.RUNS[-1] == 'distillation'  # after its teacher


SMALL_RUNS = [
  (name, encoder)
  for name in small_runs.RUNS
  for encoder in small_runs.encoders_of(name)
]


def _small_config(*, share=1.0, **fields):
  args = argparse.Namespace(
    share=share, data_dir='data', workdir=pathlib.Path('runs')
  )
  run = {'rate': 1.0, 'seed': 3, 'data': 'cifar10'} | fields
  return small_runs.config_of(small_runs.Run(**run), args)


@pytest.mark.parametrize('data', small_runs.DATA)
@pytest.mark.parametrize(('name', 'encoder'), SMALL_RUNS)
def test_the_small_runs_have_one_budget(name, encoder, data):
  run = {'name': name, 'encoder': encoder, 'data': data}
  made = _small_config(**run, rate=3.0, share=0.1)
  assert made['method']['name'] == name
  steps = round(0.1 * small_runs.STEPS[data][encoder])
  assert (made['train']['steps'], made['train']['batch_size']) == (steps, 128)
  assert made['optim']['learning_rate']['warmup_steps'] < steps
  assert made['seed'] == 3
  source = {'cifar10': 'cifar10_jpeg', 'photos': 'photos'}[data]
  assert made['data']['name'] == source
  if data == 'cifar10':
    assert made['eval']['image_size'] == made['augment']['size']
  if encoder != 'dvae':
    size = small_runs.ENCODERS[encoder]
    same = {'stem'} if name == 'colorization' else set()
    chosen = {key: made['encoder'][key] for key in size.keys() - same}
    assert chosen == {key: size[key] for key in size.keys() - same}
  usual = _small_config(**run, share=0.1)
  rates = [c['optim']['learning_rate']['start'] for c in (made, usual)]
  assert rates[0] == pytest.approx(3 * rates[1])


def test_both_encoders_are_those_of_most_methods():
  found = [encoder for _, encoder in SMALL_RUNS]
  assert {name for name, encoder in SMALL_RUNS if encoder == 'dvae'} == {'dvae'}
  assert min(found.count('resnet'), found.count('vit')) > len(METHODS) / 2


def test_a_rate_in_the_state_is_that_of_the_program():
  """One program for all rates: a step ends where that of the config ends."""
  params = {'w': jnp.array([1.0, -2.0])}
  grads = {'w': jnp.array([0.5, 3.0])}

  def stepped(tx):
    state, p = tx.init(params), params
    for _ in range(3):
      updates, state = tx.update(grads, state, p)
      p = optax.apply_updates(p, updates)
    return p

  behind = optax.chain(optax.adamw(0.01), small_runs.scale_by_number(3.0))
  chex.assert_trees_all_close(
    stepped(behind), stepped(optax.adamw(0.03)), rtol=1e-6
  )


@pytest.mark.parametrize('device', methods.NAMES)
def test_steps_are_measured_of_every_method(device):
  names = {
    config.load_file(methods.CONFIGS / f'{name}.py')['method']['name']
    for name in methods.NAMES[device]
  }
  if device == 'cpu':
    assert names == METHODS.keys()
  else:
    assert PUBLISHED <= names <= METHODS.keys()


def test_steps_of_a_config_are_measured():
  args = argparse.Namespace(batch_size=4, steps=1)
  row = methods.method_row('rotation_photos', args)
  assert row['ours'] > 0
  assert 'augmentation alone' in row['detail']
