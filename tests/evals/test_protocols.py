import json

import numpy as np
import pytest

import jaxssl
from jaxssl import errors
from jaxssl.evals import protocols
from jaxssl.evals.features import Features

WHERE = {'config_hash': 'abc', 'step': 100, 'seed': 3}
METRICS = {'top1': 0.75, 'num_test': 8}


def make_data(rows=60):
  random = np.random.default_rng(rows)
  labels = (np.arange(rows) % 3).astype(np.int32)
  noise = 0.1 * random.normal(size=(rows, 3))
  return Features((np.eye(3)[labels] + noise).astype(np.float32), labels)


@pytest.mark.parametrize('name', protocols.PROTOCOLS)
def test_every_protocol_runs_and_classifies_easy_features(name):
  few = {
    'linear': {'epochs': 5},
    'linear_mae': {'epochs': 60, 'batch_size': 16, 'learning_rates': (10.0,)},
    'fewshot': {'shots': (4,), 'draws': 1},
  }
  protocol = protocols.make_protocol(name, **few.get(name, {}))
  metrics = protocol.run(make_data(), make_data(30))
  assert metrics['top1'] == 1
  assert metrics['num_test'] == 30


# Published with results. A change here is a new version of the protocol.
def test_defaults_of_the_versions():
  settings = {
    p.name: protocols.settings_of(p) for p in protocols.PROTOCOLS.values()
  }
  assert settings == {
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
    'logistic-v1': {
      'penalties': tuple(10.0**e for e in range(5, -7, -1)),
      'validation_share': 0.2,
      'seed': 0,
      'max_iterations': 1000,
    },
    'logistic_clip-v1': {
      'validation_share': 0.2,
      'seed': 0,
      'max_iterations': 1000,
    },
    'fewshot-v1': {
      'shots': (1, 2, 4, 8, 16),
      'draws': 5,
      'penalty': 1.0,
      'seed': 0,
    },
  }


def test_result_says_where_it_comes_from(tmp_path):
  protocol = protocols.Knn(ks=(5,))
  path = protocols.write_result(tmp_path, protocol, 'photos', METRICS, **WHERE)
  assert path == tmp_path / 'results' / 'knn-v1-photos.json'
  result = json.loads(path.read_text())
  versions, date = result.pop('versions'), result.pop('date')
  assert result == {
    'protocol': 'knn-v1',
    'settings': {'ks': [5], 'temperature': 0.07},
    'data': 'photos',
    'metrics': METRICS,
    **WHERE,
  }
  assert versions['jaxssl'] == jaxssl.__version__
  assert {'python', 'jax', 'flax', 'numpy'} <= set(versions)
  assert date.endswith('+00:00')


def test_results_are_read_back(tmp_path):
  for protocol in (protocols.Logistic(), protocols.Knn()):
    protocols.write_result(tmp_path, protocol, 'd', METRICS, **WHERE)
  found = protocols.read_results(tmp_path)
  assert list(found) == ['knn-v1-d', 'logistic-v1-d']
  assert found['knn-v1-d']['metrics'] == METRICS


def test_no_results_is_empty(tmp_path):
  assert protocols.read_results(tmp_path) == {}


def test_name_of_data_becomes_a_file_name(tmp_path):
  path = protocols.write_result(
    tmp_path, protocols.Knn(), '../my data', METRICS, **WHERE
  )
  assert path == tmp_path / 'results' / 'knn-v1-.._my_data.json'
  assert json.loads(path.read_text())['data'] == '../my data'


@pytest.mark.parametrize('text', ['', '[]', '{"protocol": "knn-v1"}'])
def test_what_is_no_result_is_named(tmp_path, text):
  path = tmp_path / 'results' / 'knn-v1-d.json'
  path.parent.mkdir()
  path.write_text(text)
  with pytest.raises(errors.UserError, match=r'knn-v1-d\.json is not a result'):
    protocols.read_results(tmp_path)


def test_unknown_names_offer_the_closest():
  with pytest.raises(errors.UserError, match="did you mean 'linear'"):
    protocols.make_protocol('liner')
  with pytest.raises(errors.UserError, match="did you mean 'temperature'"):
    protocols.make_protocol('knn', temprature=1.0)


def test_table_is_aligned_and_in_per_cent():
  table = protocols.format_table(
    {'raw pixels': {'kNN': 0.355}, 'trained': {'kNN': 1.0, 'linear': 0.9}}
  )
  assert table.splitlines() == [
    'encoder       kNN  linear',
    '----------  -----  ------',
    'raw pixels   35.5       -',
    'trained     100.0    90.0',
  ]
