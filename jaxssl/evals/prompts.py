"""Class names and templates for zero-shot classification."""

from collections.abc import Sequence
import importlib.util
import json
import os
import pathlib
import re
import runpy
from typing import Any

from jaxssl.errors import UserError
from jaxssl.evals import settings

SLOTS = ('{}', '{c}')
_PACKAGED = re.compile(r'[\w.]+\.\w+:\w+')

# Our own wording. The published sets are files or packages of the user's.
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
  'pets': ('a photo of a {}, a kind of pet', 'a {}, which is a pet'),
  'food': ('a photo of {}, a kind of food', 'a plate of {}'),
  'flowers': ('a photo of a {}, a kind of flower', 'a {} in flower'),
  'aircraft': ('a photo of a {}, a kind of aircraft', 'a {} in the air'),
  'textures': ('a photo of a {} texture', 'something with a {} surface'),
  'satellite': ('a photo of {} from a satellite', '{}, seen from above'),
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
      file with a list of them; or `package.module:NAME`, a list in a file of an
      installed package, such as OpenAI's
      `open_clip.zero_shot_metadata:OPENAI_IMAGENET_TEMPLATES`. Every template
      has the slot `{}` or `{c}`, or is a function of the name.

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
  """Returns the names in a file: one per line, or a JSON list.

  Args:
    path: path of the file; or `package.module:NAME`, see `load_templates`.

  Raises:
    UserError: if there is no such file, or it holds something else.
  """
  return _lines(path, 'class names (a file)')


# Of a field that holds templates.
AS_TEXT = settings.as_text(lambda texts: load_templates(*texts), 'NAME_OR_FILE')


def spoken(names: Sequence[str]) -> tuple[str, ...]:
  """Returns names of classes as words: folders write `hubble_deep_field`."""
  return tuple(' '.join(name.replace('_', ' ').split()) for name in names)


def _lines(path: str | os.PathLike[str], what: str) -> tuple[str, ...]:
  name = str(path)
  lines = _of_package(name) if _PACKAGED.fullmatch(name) else _of(path, what)
  if not isinstance(lines, list | tuple) or not all(
    isinstance(x, str) for x in lines
  ):
    raise UserError(f'{name} must hold a list of texts')
  lines = tuple(line.strip() for line in lines if line.strip())
  if not lines:
    raise UserError(f'{name} is empty')
  return lines


def _of(path: str | os.PathLike[str], what: str) -> Any:
  """Returns what is in a file."""
  file = pathlib.Path(path).expanduser()
  try:
    text = file.read_text(encoding='utf-8-sig')
    is_json = file.suffix.lower() == '.json'
    return json.loads(text) if is_json else text.splitlines()
  except FileNotFoundError as error:
    raise UserError(f'{str(path)!r} gives no {what}') from error
  except (OSError, ValueError) as error:
    raise UserError(f'{file} cannot be read: {error}') from error


def _of_package(name: str) -> Any:
  """Returns a list in a package; functions of a name become templates.

  Only the file of the list is run, not the package around it, which may take
  seconds and need PyTorch.
  """
  module, _, attribute = name.partition(':')
  package, *rest = module.split('.')
  found = importlib.util.find_spec(package)
  folders = (found and found.submodule_search_locations) or ()
  files = [pathlib.Path(folder, *rest).with_suffix('.py') for folder in folders]
  file = next((file for file in files if file.is_file()), None)
  if file is None:
    raise UserError(f'no installed package has a file {module}')
  try:
    lines = runpy.run_path(str(file))[attribute]
  except KeyError as error:
    raise UserError(f'{file} defines no {attribute}') from error
  except ImportError as error:
    raise UserError(f'{file} is no list by itself: {error}') from error
  if not isinstance(lines, list | tuple):
    return lines
  return [line(SLOTS[0]) if callable(line) else line for line in lines]
