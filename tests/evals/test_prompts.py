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
