import pathlib

from jaxssl.config import reference, schema
from tests.commands import runs

PAGE = pathlib.Path(__file__).resolve().parents[2] / 'docs' / 'config.md'


def test_the_page_of_all_keys_is_the_one_of_the_code():
  # Where this fails: jaxssl config --page > docs/config.md
  assert PAGE.read_text(encoding='utf-8') == reference.page()


def test_a_complete_config_is_shown_with_its_own_values():
  config = schema.complete(
    {
      'method': {'name': 'simclr', 'temperature': 0.25},
      'encoder': {'name': 'resnet18'},
      'augment': {'name': 'simclr'},
      'data': {'name': 'digits'},
      'optim': {
        'name': 'sgd',
        'learning_rate': {'name': 'cosine', 'start': 0.5},
      },
    }
  )
  rows = {
    (section, row.name): row
    for section, _, found in reference.sections_of(config)
    for row in found
  }
  assert rows['method', 'temperature'].default == '0.25'
  assert "name='cosine', start=0.5" in rows['optim', 'learning_rate'].default
  assert rows['train', 'mode'].takes == 'jit or pmap'


def test_the_command_prints_keys_values_and_meanings(capsys):
  assert runs.jaxssl('config', 'dino', '--config.method.num_global=1') == 0
  out = capsys.readouterr().out
  assert 'method: dino' in out
  assert 'center_momentum' in out


def test_the_command_needs_a_method(capsys):
  assert runs.jaxssl('config') == 2
  assert 'give a method' in capsys.readouterr().err


def test_list_of_configs(capsys):
  assert runs.jaxssl('config', '--list') == 0
  lines = capsys.readouterr().out.splitlines()
  (line,) = (line for line in lines if line.startswith('quickstart '))
  assert line.split(maxsplit=1)[1].startswith('SimCLR on crops of')
