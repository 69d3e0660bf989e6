import inspect

import pytest

from jaxssl.augment import blur, color, geometry, jitter, recipes

FUNCTIONS = [
  function
  for module in (blur, color, geometry, jitter)
  for name, function in vars(module).items()
  if inspect.isfunction(function)
  and function.__module__ == module.__name__
  and not name.startswith('_')
]


@pytest.mark.parametrize('function', FUNCTIONS, ids=lambda f: f.__name__)
def test_key_comes_first_then_the_image_and_defaults_are_keyword_only(function):
  parameters = inspect.signature(function).parameters
  assert 'rng' not in parameters
  if function.__name__.startswith(('random_', 'sample_')):
    assert next(iter(parameters)) == 'key'
  if function.__name__.startswith('random_'):
    assert list(parameters)[1] == 'image'
  for parameter in parameters.values():
    if parameter.default is not inspect.Parameter.empty:
      assert parameter.kind == inspect.Parameter.KEYWORD_ONLY
  assert function.__doc__


@pytest.mark.parametrize('name', recipes.RECIPES)
def test_recipes_take_only_keywords_and_all_take_a_size(name):
  parameters = inspect.signature(recipes.RECIPES[name]).parameters
  assert 'size' in parameters
  for parameter in parameters.values():
    assert parameter.kind == inspect.Parameter.KEYWORD_ONLY
