"""Arguments of `jaxssl eval` follow from the fields of the protocols."""

import argparse

import pytest

from jaxssl.arguments import protocol_settings
from jaxssl.errors import UserError
from jaxssl.evals.protocols import PROTOCOLS
from jaxssl.evals.settings import settings
from tests.commands import runs


def chosen(*words):
  parser = argparse.ArgumentParser()
  parser.add_argument('protocol', nargs='+')
  protocol_settings.add(parser)
  return protocol_settings.chosen(parser.parse_args(words))


def test_help_lists_every_protocol_and_setting(capsys):
  with pytest.raises(SystemExit):
    runs.jaxssl('eval', '--help')
  text = capsys.readouterr().out
  for command, evaluation in PROTOCOLS.items():
    assert command in text
    assert evaluation.name in text
    for setting in settings(evaluation):
      assert f'--{setting.name} ' in text


@pytest.mark.parametrize(
  ('words', 'name', 'value'),
  [
    (('knn', '--ks', '5', '1'), 'ks', (5, 1)),
    (('knn', '--temperature', '1'), 'temperature', 1.0),
    (('linear', '--normalize', 'true'), 'normalize', True),
    (('linear', '--optimizer', 'lars'), 'optimizer', 'lars'),
    (('zeroshot', '--templates', 'name'), 'templates', ('{}',)),
    (('wise_ft', '--finetuned', 'a'), 'finetuned', 'a'),
    (('corruptions', '--kinds', 'fog', 'snow'), 'kinds', ('fog', 'snow')),
    (('shift', '--shifted', 'a=b:c', 'd=e'), 'shifted', {'a': 'b:c', 'd': 'e'}),
  ],
)
def test_words_become_the_type_of_the_field(words, name, value):
  (evaluation,) = chosen(*words).values()
  found = getattr(evaluation, name)
  assert found == value
  assert type(found) is type(value)


def test_a_setting_goes_to_every_protocol_that_has_it():
  found = chosen('linear', 'finetune', 'knn', '--epochs', '3')
  assert (found['linear'].epochs, found['finetune'].epochs) == (3, 3.0)
  assert found['knn'] == PROTOCOLS['knn']


@pytest.mark.parametrize(
  ('words', 'name'),
  [(('--ks', '5'), 'knn-v1'), (('--templates', 'name'), 'zeroshot-v2')],
)
def test_robustness_takes_the_settings_of_its_classifier(words, name):
  found = chosen('corruptions', *words)['corruptions']
  assert found.classifier.name == name
  assert chosen('corruptions')['corruptions'].classifier is None


@pytest.mark.parametrize(
  ('words', 'message'),
  [
    (('knnn',), "did you mean 'knn'"),
    (('knn', '--epochs', '3'), 'knn takes no --epochs; it is for linear'),
    (('knn', '--ks', '1.5'), "--ks takes an integer, got '1.5'"),
    (('knn', '--temperature', 'inf'), "--temperature takes .* got 'inf'"),
    (('linear', '--normalize', '1'), 'takes true or false'),
    (('linear', '--optimizer', 'larc'), "did you mean 'lars'"),
    (('shift', '--ks', '1', '--classes', 'a'), 'different classifiers'),
  ],
)
def test_mistakes_are_told(words, message):
  with pytest.raises(UserError, match=message):
    chosen(*words)
