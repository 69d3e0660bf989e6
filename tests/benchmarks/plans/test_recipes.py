"""The recipes that `benchmarks.plans.recipes` compiles, and its table."""

import pytest

from benchmarks.plans import recipes
from jaxssl import config
from jaxssl.config import schema

FIGURES = {
  'batch': 4096,
  'fits': True,
  'all-reduce, MiB': 628.0,
  'compile seconds': 61.2,
  'images/s at 40 %': 10153.0,
}


@pytest.mark.parametrize('name', recipes.RECIPES)
def test_every_variant_is_a_config_of_its_recipe(name):
  recipe = recipes.RECIPES[name]
  plain = schema.complete(
    config.load_file(recipes.CONFIGS / f'{recipe.config}.py')
  )
  for variant in ('plain', *recipe.variants):
    arguments = [*recipe.overrides, *recipes.overrides_of(variant)]
    changes = config.parse_overrides(arguments)
    assert len(changes) == len(arguments)
    changed = schema.complete(schema.apply_overrides(plain, changes))
    for key, value in changes.items():
      section, _, name = key.partition('.')
      assert changed[section][name] == value


def test_parts_of_a_variant_add_up():
  both = recipes.overrides_of('ring+parts4')
  assert both == [*recipes.PARTS['ring'], *recipes.PARTS['parts4']]
  with pytest.raises(ValueError, match="'rings'; known: plain, full, ring"):
    recipes.overrides_of('rings')


def _row(figures, **values):
  name = 'plans/simclr_r50/v5e-16/ring'
  row = {'name': name, 'recipe': 'simclr_r50', 'variant': 'ring', **values}
  return row | {'plan': figures}


def test_table_says_what_fits_and_what_fails():
  fits = _row(FIGURES, ours=14.5, theirs=15.75)
  too_large = _row(FIGURES | {'fits': False}, ours=19.1, theirs=15.75)
  lines = recipes.markdown([fits, too_large, _row({'error': 'no chip'})])
  _, _, first, second, third = lines.splitlines()
  start = '| SimCLR, ResNet-50 | v5e-16 | '
  assert first == (
    f'{start}4096 | ring | 14.50 of 15.75 | yes | 628 MiB | 0 | 0 | 61 | '
    '10,150 |'
  )
  assert second.startswith(f'{start}4096 | ring | 19.10 of 15.75 | **no** |')
  assert '10,150' not in second
  assert third.startswith(f'{start} | ring | no chip |')
