import json

import pytest

import jaxssl
from jaxssl import errors
from jaxssl.evals.knn import Knn
from jaxssl.evals.logistic import Logistic
from jaxssl.runs import results

WHERE = {'config_hash': 'abc', 'step': 100, 'seed': 3}
METRICS = {'top1': 0.75, 'num_test': 8}


def test_result_says_where_it_comes_from(tmp_path):
  protocol = Knn(ks=(5,))
  path = results.write_result(tmp_path, protocol, 'photos', METRICS, **WHERE)
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
  assert {'python', 'jax', 'flax', 'numpy', 'pillow'} <= set(versions)
  assert date.endswith('+00:00')


def test_results_are_read_back(tmp_path):
  for protocol in (Logistic(), Knn()):
    results.write_result(tmp_path, protocol, 'd', METRICS, **WHERE)
  found = results.read_results(tmp_path)
  assert list(found) == ['knn-v1-d', 'logistic-v2-d']
  assert found['knn-v1-d']['metrics'] == METRICS


def test_data_of_one_name_and_two_places_have_results_of_their_own(tmp_path):
  def write(place, top1):
    return results.write_result(
      tmp_path, Knn(), 'birds', {'top1': top1}, **WHERE, place=place
    )

  first, second = write('/one/birds', 0.1), write('/two/birds', 0.2)
  assert first.name == 'knn-v1-birds.json'
  assert second.name.startswith('knn-v1-birds-')
  # Again, each replaces its own, also where the other is gone.
  assert (write('/one/birds', 0.3), write('/two/birds', 0.4)) == (first, second)
  first.unlink()
  assert write('/two/birds', 0.5) == second
  assert write('/one/birds', 0.6) == first
  found = results.read_results(tmp_path).values()
  assert {r['place']: r['metrics']['top1'] for r in found} == {
    '/one/birds': 0.6,
    '/two/birds': 0.5,
  }


def test_a_result_of_an_earlier_version_is_replaced(tmp_path):
  first = results.write_result(tmp_path, Knn(), 'd', METRICS, **WHERE)
  again = results.write_result(
    tmp_path, Knn(), 'd', METRICS, **WHERE, place='/one/d'
  )
  assert again == first


def test_no_results_is_empty(tmp_path):
  assert results.read_results(tmp_path) == {}


def test_name_of_data_becomes_a_file_name(tmp_path):
  path = results.write_result(tmp_path, Knn(), '../my data', METRICS, **WHERE)
  assert path == tmp_path / 'results' / 'knn-v1-.._my_data.json'
  assert json.loads(path.read_text())['data'] == '../my data'


@pytest.mark.parametrize('text', ['', '[]', '{"protocol": "knn-v1"}'])
def test_what_is_no_result_is_named(tmp_path, text):
  path = tmp_path / 'results' / 'knn-v1-d.json'
  path.parent.mkdir()
  path.write_text(text)
  with pytest.raises(errors.UserError, match=r'knn-v1-d\.json is not a result'):
    results.read_results(tmp_path)


def test_a_part_does_not_take_the_place_of_the_whole(tmp_path):
  def write(top1, *, layer=None, limit=None):
    recipe = {'layer': layer, 'choice': {'limit': limit}}
    return results.write_result(
      tmp_path, Knn(), 'd', {'top1': top1}, **WHERE, recipe=recipe
    ).stem

  assert write(0.9) == 'knn-v1-d'
  assert write(0.3, layer='stage1') == 'knn-v1-d-stage1'
  assert write(0.5, limit=20) == 'knn-v1-d-limit20'
  assert write(0.4, layer='stage1', limit=20) == 'knn-v1-d-stage1-limit20'
  found = results.read_results(tmp_path)
  assert found['knn-v1-d']['metrics'] == {'top1': 0.9}
  assert {results.what_of(result) for result in found.values()} == {
    'd',
    'd, 20 pictures a split',
    'd, layer stage1',
    'd, layer stage1, 20 pictures a split',
  }


def test_a_part_that_was_first_keeps_its_name_until_the_whole_comes(tmp_path):
  def write(limit):
    recipe = {'layer': None, 'choice': {'limit': limit}}
    return results.write_result(
      tmp_path, Knn(), 'd', METRICS, **WHERE, recipe=recipe
    ).stem

  assert [write(20), write(20), write(30)] == [
    'knn-v1-d',
    'knn-v1-d',
    'knn-v1-d-limit30',
  ]
  assert [write(None), write(20)] == ['knn-v1-d', 'knn-v1-d-limit20']
