import pytest

from jaxssl import cli
from jaxssl.evals.protocols import PROTOCOLS
from jaxssl.methods import METHODS
from jaxssl.models.variants import encoder_names

COMMANDS = [*cli.COMMANDS]
WITH_CONFIG = ['train', 'inspect', 'bench', 'plan']


def _help(name):
  _, parsers = cli.parsers()
  cli.module(name).add_arguments(parsers[name])
  return parsers[name].format_help()


@pytest.fixture(params=['40', '80', '200'], autouse=True)
def _columns(request, monkeypatch):
  monkeypatch.setenv('COLUMNS', request.param)


@pytest.mark.parametrize('name', COMMANDS)
def test_fits_80_columns(name):
  lines = _help(name).splitlines()
  assert [line for line in lines if len(line) > 80] == []


def test_list_of_commands_fits_80_columns():
  parser, _ = cli.parsers()
  lines = parser.format_help().splitlines()
  assert [line for line in lines if len(line) > 80] == []


@pytest.mark.parametrize('name', WITH_CONFIG)
def test_names_overrides_data_and_examples(name):
  text = _help(name)
  words = text.split()
  assert set(METHODS) <= set(words)
  assert set(encoder_names()) <= set(words)
  assert '--config.SECTION.KEY=VALUE' in words
  assert "'photos/*.jpg'" in words
  assert f'\n  jaxssl {name} ' in text.partition('examples:')[2]


def test_protocols():
  words = _help('eval').split()
  assert set(PROTOCOLS) <= set(words)
