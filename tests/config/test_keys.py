import functools
from typing import Any

import pytest

from jaxssl import models
from jaxssl.config import keys, schema
from jaxssl.config.reference import section_names
from jaxssl.ops.schedules import SCHEDULES


def _crop(size: int, *, scale: float = 0.5, filter_: str = 'box') -> None:
  """Cuts.

  Args:
    size: side in
      pixels.
    scale: share of the picture.

  Returns:
    Nothing.
  """


def test_keys_are_read_from_signature_and_docstring():
  found = keys.keys_of(functools.partial(_crop, scale=0.25))
  assert list(found) == ['size', 'scale', 'filter_']
  assert found['size'].is_required
  assert (found['size'].hint, found['size'].meaning) == (int, 'side in pixels.')
  assert (found['scale'].default, found['scale'].is_required) == (0.25, False)
  assert found['filter_'].meaning == ''


def test_an_encoder_has_the_values_of_its_name():
  found = keys.keys_of_module(models.make_encoder('vit_ti4'))
  assert (found['dim'].default, found['patch_size'].default) == (192, 4)
  assert found['dtype'].default == 'float32'


SECTIONS = [
  (section, name)
  for section, names in section_names().items()
  for name in names
]


@pytest.mark.parametrize(('section', 'name'), SECTIONS)
def test_every_key_has_a_type_and_a_meaning(section, name):
  for key in schema.keys(section, name).values():
    assert key.hint is not Any, key.name
    assert key.meaning, key.name


@pytest.mark.parametrize('name', SCHEDULES)
def test_every_key_of_a_schedule_has_a_meaning(name):
  for key in schema.schedule_keys(name).values():
    assert key.meaning, key.name
