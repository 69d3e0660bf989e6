import json

import pytest

from jaxssl.errors import UserError
from jaxssl.evals import prompts


@pytest.mark.parametrize('name', prompts.TEMPLATES)
def test_named_sets_have_slots_and_no_doubles(name):
  templates = prompts.load_templates(name)
  assert len(set(templates)) == len(templates)
  assert all('{}' in template for template in templates)


def test_names_with_braces_stand_as_they_are():
  assert prompts.fill('a {} of {c}', '{x}') == 'a {x} of {x}'


def test_files_hold_lines_or_a_json_list(tmp_path):
  lines, listed = tmp_path / 'seven.txt', tmp_path / 'seven.json'
  lines.write_text('itap of a {}.\n\na bad photo of the {}.\n')
  listed.write_text(json.dumps(['a {c}, a type of pet.']))
  assert prompts.load_templates(lines) == (
    'itap of a {}.',
    'a bad photo of the {}.',
  )
  assert prompts.load_templates(listed) == ('a {c}, a type of pet.',)
  assert prompts.load_class_names(lines)[0] == 'itap of a {}.'


def test_folder_names_become_words():
  assert prompts.spoken(('hubble_deep_field', 'cat')) == (
    'hubble deep field',
    'cat',
  )


@pytest.mark.parametrize(
  ('content', 'message'),
  [('a photo\n', 'no slot'), ('\n', 'is empty')],
)
def test_mistakes_are_told_in_one_line(content, message, tmp_path):
  path = tmp_path / 'templates.txt'
  path.write_text(content)
  with pytest.raises(UserError, match=message):
    prompts.load_templates(path)


def test_a_json_file_of_something_else_is_told(tmp_path):
  path = tmp_path / 'names.json'
  path.write_text('{"a": 1}')
  with pytest.raises(UserError, match='list of texts'):
    prompts.load_class_names(path)


def test_an_unknown_set_is_told():
  with pytest.raises(UserError, match='gives no templates'):
    prompts.load_templates('photoz')


@pytest.fixture
def package(tmp_path, monkeypatch):
  """Importing it fails, as open_clip's would without PyTorch."""
  folder = tmp_path / 'a_package'
  folder.mkdir()
  (folder / '__init__.py').write_text('raise ImportError')
  (folder / 'lists.py').write_text(
    "NAMES = ['tench', 'goldfish']\n"
    "TEMPLATES = (lambda c: f'a bad photo of a {c}.', 'art of the {}.')\n"
    'NUMBER = 3\n'
  )
  monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures('package')
def test_lists_of_an_installed_package():
  assert prompts.load_class_names('a_package.lists:NAMES') == (
    'tench',
    'goldfish',
  )
  assert prompts.load_templates('a_package.lists:TEMPLATES') == (
    'a bad photo of a {}.',
    'art of the {}.',
  )


@pytest.mark.usefixtures('package')
@pytest.mark.parametrize(
  ('name', 'message'),
  [
    ('no_package.lists:NAMES', 'no installed package'),
    ('a_package.other:NAMES', 'no installed package'),
    ('a_package.lists:OTHER', 'defines no OTHER'),
    ('a_package.lists:NUMBER', 'list of texts'),
    ('a_package.__init__:NAMES', 'no list by itself'),
  ],
)
def test_packages_without_the_list_are_told(name, message):
  with pytest.raises(UserError, match=message):
    prompts.load_class_names(name)


@pytest.mark.reference
def test_openais_sets_come_from_open_clip():
  module = 'open_clip.zero_shot_metadata'
  templates = prompts.load_templates(f'{module}:OPENAI_IMAGENET_TEMPLATES')
  seven = prompts.load_templates(f'{module}:SIMPLE_IMAGENET_TEMPLATES')
  names = prompts.load_class_names(f'{module}:IMAGENET_CLASSNAMES')
  assert (len(templates), len(seven), len(names)) == (80, 7, 1000)
  assert set(seven) <= set(templates)
