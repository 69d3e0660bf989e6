"""Class names and templates for zero-shot classification."""

from collections.abc import Sequence
import json
import os
import pathlib

from jaxssl.errors import UserError

SLOTS = ('{}', '{c}')

# Our own wording. The published sets are files of the user's.
TEMPLATES = {
  'name': ('{}',),
  'photo': ('a photo of a {}',),
  'several': (
    'a photo of a {}',
    'a picture of a {}',
    'a gray photo of a {}',
    'a colour photo of a {}',
    'a {} from near by',
    'a small picture that shows a {}',
    'part of a {}',
    'this is a {}',
  ),
  'emoji': (
    '{}',
    'an emoji of {}',
    'the symbol for {}',
    'a small drawing: {}',
    '{}, as an icon',
  ),
}


def fill(template: str, name: str) -> str:
  """Puts a name into the slot of a template.

  By plain replacement: a name or a template may have other braces.
  """
  for slot in SLOTS:
    template = template.replace(slot, name)
  return template


def load_templates(name: str | os.PathLike[str]) -> tuple[str, ...]:
  """Returns a named set of templates, or that of a file.

  Args:
    name: key of `TEMPLATES`; or a text file with a template a line, or a JSON
      file with a list of them. Every template has the slot `{}` or `{c}`.

  Raises:
    UserError: if there is no such set or file, or a template has no slot.
  """
  if name in TEMPLATES:
    return TEMPLATES[str(name)]
  templates = _lines(name, f'templates (a file, or {", ".join(TEMPLATES)})')
  for template in templates:
    if not any(slot in template for slot in SLOTS):
      raise UserError(
        f'{name}: template {template!r} has no slot {{}} for the name'
      )
  return templates


def load_class_names(path: str | os.PathLike[str]) -> tuple[str, ...]:
  """Returns the names in a file: one a line, or a JSON list.

  Raises:
    UserError: if there is no such file, or it holds something else.
  """
  return _lines(path, 'class names (a file)')


def spoken(names: Sequence[str]) -> tuple[str, ...]:
  """Returns names of classes as words: folders write `hubble_deep_field`."""
  return tuple(' '.join(name.replace('_', ' ').split()) for name in names)


def _lines(path: str | os.PathLike[str], what: str) -> tuple[str, ...]:
  file = pathlib.Path(path).expanduser()
  try:
    text = file.read_text(encoding='utf-8-sig')
    is_json = file.suffix.lower() == '.json'
    lines = json.loads(text) if is_json else text.splitlines()
  except FileNotFoundError as error:
    raise UserError(f'{str(path)!r} gives no {what}') from error
  except (OSError, ValueError) as error:
    raise UserError(f'{file} cannot be read: {error}') from error
  if not isinstance(lines, list) or not all(isinstance(x, str) for x in lines):
    raise UserError(f'{file} must hold a list of texts')
  lines = tuple(line.strip() for line in lines if line.strip())
  if not lines:
    raise UserError(f'{file} is empty')
  return lines
