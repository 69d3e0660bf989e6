import dataclasses
import inspect
import pathlib
import re

import numpy as np
import pytest

from jaxssl import errors
from jaxssl.evals import needs, protocols, settings
from jaxssl.evals.features import Features

FROZEN = [
  name
  for name, evaluation in protocols.PROTOCOLS.items()
  if evaluation.needs is needs.FrozenFeatures
]


def make_data(rows=60):
  random = np.random.default_rng(rows)
  labels = (np.arange(rows) % 3).astype(np.int32)
  noise = 0.1 * random.normal(size=(rows, 3))
  return Features((np.eye(3)[labels] + noise).astype(np.float32), labels)


@pytest.mark.parametrize('name', FROZEN)
def test_every_protocol_runs_and_classifies_easy_features(name):
  few = {
    'linear': {'epochs': 5},
    'linear_mae': {'epochs': 60, 'batch_size': 16, 'learning_rates': (10.0,)},
    'fewshot': {'shots': (4,), 'draws': 1},
  }
  protocol = protocols.make_protocol(name, **few.get(name, {}))
  metrics = protocol.run(make_data(), make_data(30))
  assert metrics['top1'] == metrics['mean_per_class'] == 1
  assert metrics['num_test'] == 30


CLASSIFICATIONS = [
  name
  for name, evaluation in protocols.PROTOCOLS.items()
  if name != 'retrieval'
  and evaluation.needs not in (needs.DenseFeatures, needs.DenseLook)
]


@pytest.mark.parametrize('name', CLASSIFICATIONS)
def test_every_classification_refuses_a_source_with_a_single_class(name):
  class OneFolder:
    name = 'pictures'
    class_names = ('train',)

  with pytest.raises(errors.UserError, match=r"a single class \('train'\)"):
    protocols.PROTOCOLS[name].check(OneFolder(), OneFolder())


@pytest.mark.parametrize('split', ['train', 'test'])
@pytest.mark.parametrize('name', FROZEN)
def test_every_protocol_on_features_refuses_a_single_class(name, split):
  data = {'train': make_data(), 'test': make_data(30)}
  one = np.zeros_like(data[split].labels)
  data[split] = dataclasses.replace(data[split], labels=one)
  with pytest.raises(errors.UserError, match=f'{split} split has a single'):
    protocols.PROTOCOLS[name].run(**data)


# Published with results. A change here is a new version of the protocol.
def test_defaults_of_the_versions():
  found = {
    protocols.PROTOCOLS[name].name: settings.settings_of(
      protocols.PROTOCOLS[name]
    )
    for name in FROZEN
  }
  assert found == {
    'knn-v1': {'ks': (20, 10, 100, 200), 'temperature': 0.07},
    'linear_sgd-v1': {
      'learning_rates': (
        *(0.001, 0.003, 0.01, 0.03, 0.1),
        *(0.3, 1.0, 3.0, 10.0, 30.0),
      ),
      'batch_size': 256,
      'epochs': 100,
      'momentum': 0.9,
      'optimizer': 'sgd',
      'warmup_epochs': 0.0,
      'normalize': False,
      'validation_share': 0.2,
      'seed': 0,
    },
    'linear_mae-v1': {
      'learning_rates': (0.1, 0.3, 1.0, 3.0, 10.0, 30.0),
      'batch_size': 16384,
      'epochs': 90,
      'momentum': 0.9,
      'optimizer': 'lars',
      'warmup_epochs': 10.0,
      'normalize': True,
      'validation_share': 0.2,
      'seed': 0,
    },
    'logistic-v2': {
      'penalties': tuple(10.0**e for e in range(5, -7, -1)),
      'validation_share': 0.2,
      'seed': 0,
      'max_iterations': 1000,
    },
    'logistic_clip-v2': {
      'validation_share': 0.2,
      'seed': 0,
      'max_iterations': 1000,
    },
    'fewshot-v2': {
      'shots': (1, 2, 4, 8, 16),
      'draws': 5,
      'penalty': 1.0,
      'seed': 0,
    },
  }


def test_unknown_names_offer_the_closest():
  with pytest.raises(errors.UserError, match="did you mean 'linear'"):
    protocols.make_protocol('liner')
  with pytest.raises(errors.UserError, match="did you mean 'temperature'"):
    protocols.make_protocol('knn', temprature=1.0)


@pytest.mark.parametrize('name', protocols.PROTOCOLS)
def test_every_protocol_keeps_the_contract(name):
  evaluation = protocols.PROTOCOLS[name]
  (_, *arguments) = inspect.signature(type(evaluation).run).parameters
  assert tuple(arguments) == evaluation.needs._fields
  assert re.fullmatch(r'[a-z0-9_]+-v\d+', evaluation.name)
  assert needs.in_words(evaluation.needs)
  for setting in settings.settings(evaluation):
    assert setting.meaning, setting.name
  with pytest.raises(dataclasses.FrozenInstanceError):
    evaluation.seed = 1


def test_names_of_results_are_different():
  names = [evaluation.name for evaluation in protocols.PROTOCOLS.values()]
  assert len(set(names)) == len(names)


def test_page_has_the_table_of_all_protocols():
  page = pathlib.Path(__file__).parents[2] / 'docs' / 'evaluation.md'
  assert protocols.markdown_table() in page.read_text(encoding='utf-8')


@pytest.mark.parametrize(
  ('name', 'changes'),
  [
    ('linear', {'validation_share': 7.0}),
    ('linear', {'learning_rates': (0.1, -1.0)}),
    ('linear_images', {'epochs': 0.0}),
    ('logistic', {'validation_share': -3.0}),
    ('logistic', {'max_iterations': 0}),
    ('logistic', {'penalties': (1.0, 0.0)}),
    ('logistic_clip', {'max_iterations': -1}),
    ('fewshot', {'penalty': -1.0}),
    ('fewshot', {'shots': (0, 1)}),
    ('finetune', {'learning_rate': -1.0}),
    ('finetune', {'layer_decay': -1.0}),
    ('finetune_mae', {'epochs': -4.0}),
    ('finetune_beit', {'drop_path': 1.0}),
  ],
)
def test_numbers_out_of_range_are_told_before_anything_runs(name, changes):
  (field,) = changes
  with pytest.raises(errors.UserError, match=f'{field} is .*; it must be'):
    protocols.make_protocol(name, **changes)
