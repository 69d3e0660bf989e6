import pathlib

import pytest

from jaxssl import config, models
from jaxssl.augment.recipes import RECIPES
from jaxssl.config import schema
from jaxssl.errors import UserError
from jaxssl.methods import METHODS
from jaxssl.pictures.method_panels import method_panel
from tests import tiny_methods

CONFIGS = pathlib.Path(__file__).resolve().parents[2] / 'configs'


@pytest.mark.parametrize('name', METHODS)
class TestEntry:
  def test_names_exist(self, name):
    row = METHODS[name]
    assert row.recipe in RECIPES
    assert row.panel is None or callable(method_panel(name))
    if row.text_encoder:
      assert schema.keys('text_encoder', row.text_encoder)

  def test_small_config_is_of_the_method(self, name):
    sections = config.load_file(CONFIGS / f'{METHODS[name].config}.py')
    assert sections['method']['name'] == name

  def test_keys_are_those_of_the_constructors(self, name):
    row = METHODS[name]
    sections = [row.defaults, row.small, vars(row.tiny)]
    for keys in (each.get('method', {}) for each in sections):
      assert keys.keys() <= schema.keys('method', name).keys()
    for keys in (each.get('head', {}) for each in sections):
      head = schema.keys('head', name) if row.head else {}
      assert keys.keys() <= {'name', *head}

  def test_encoders_that_it_does_not_take_are_refused(self, name):
    row = METHODS[name]
    assert row.takes(row.encoder)
    encoder = models.make_encoder('resnet18', **row.resnet)
    if row.takes('resnet18'):
      assert tiny_methods.make(name, encoder).encoder is encoder
    else:
      with pytest.raises(UserError, match='needs'):
        tiny_methods.make(name, encoder)

  def test_what_takes_text_has_both_towers(self, name):
    row = METHODS[name]
    takes_text = row.text_encoder is not None
    assert hasattr(row.make, 'encode_text') == takes_text


@pytest.mark.parametrize(
  'path', sorted(CONFIGS.glob('*_imagenet.py')), ids=lambda p: p.stem
)
def test_a_method_has_the_recipe_of_its_published_config(path):
  sections = config.load_file(path)
  row = METHODS[sections['method']['name']]
  assert row.recipe == sections['augment']['name']
