import argparse
import pathlib

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


@pytest.mark.parametrize('name', small_runs.RUNS)
def test_the_small_runs_have_one_budget(name):
  args = argparse.Namespace(
    steps=50, data_dir='data', workdir=pathlib.Path('runs')
  )
  made = small_runs.config_of(small_runs.Run(name, 3.0, seed=3), args)
  assert made['method']['name'] == name
  assert (made['train']['steps'], made['train']['batch_size']) == (50, 128)
  assert (made['seed'], made['data']['name']) == (3, 'cifar10_jpeg')
  assert made['eval']['image_size'] == made['augment']['size']
  usual = small_runs.config_of(small_runs.Run(name, 1.0, seed=3), args)
  rates = [c['optim']['learning_rate']['start'] for c in (made, usual)]
  assert rates[0] == pytest.approx(3 * rates[1])


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
