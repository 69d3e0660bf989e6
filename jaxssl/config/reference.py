"""Every key of every section, with its type, its default and its meaning."""

from collections.abc import Iterator, Mapping
import inspect
from typing import Any, NamedTuple

from jaxssl import data, fields
from jaxssl.augment.recipes import RECIPES
from jaxssl.config import schema
from jaxssl.config.keys import Key
from jaxssl.config.text import Config
from jaxssl.methods import METHODS
from jaxssl.models.variants import ENCODER_KINDS, TEXT_ENCODER_KINDS
from jaxssl.ops.schedules import SCHEDULES
from jaxssl.train import algorithms

_INTRODUCTION = """# Every key of a config

This page is generated from the code: `jaxssl config --page > docs/config.md`.
A config has one section per part of a run. `name`, where a section has one,
chooses what the other keys are. `--config.SECTION.KEY=VALUE` sets a key on the
command line. `jaxssl config METHOD` prints the keys of one method.
"""
_SCHEDULES = """Where a key takes a schedule, a section with a name stands in
place of the number, for example `--config.optim.learning_rate.name=cosine`.
"""


class Row(NamedTuple):
  """One key, in words.

  Attributes:
    name: its name in the section.
    takes: what it takes, for example "an integer or none".
    default: its default as Python writes it, or "required".
    meaning: one line.
  """

  name: str
  takes: str
  default: str
  meaning: str


def row_of(key: Key) -> Row:
  """Returns a key in words."""
  hint = key.hint | None if key.default is None else key.hint
  default = 'required' if key.is_required else repr(key.default)
  return Row(key.name, fields.describe(hint), default, key.meaning)


def rows_of(found: Mapping[str, Key]) -> list[Row]:
  """Returns the keys of a section in words, in their order."""
  return [row_of(key) for key in found.values()]


def sections_of(config: Config) -> Iterator[tuple[str, str | None, list[Row]]]:
  """Yields section, its name, and its keys, for the sections of a config.

  Args:
    config: complete; the values in it stand in place of the defaults.
  """
  for section in schema.SECTIONS:
    values = config[section]
    if not values:
      continue
    name = values.get('name')
    found = schema.keys(section, name)
    rows = [
      row_of(key)._replace(default=_written(values[key.name]))
      for key in found.values()
    ]
    yield section, name, rows


def page() -> str:
  """Returns the page of all keys as Markdown."""
  parts = [_INTRODUCTION]
  for section, names in section_names().items():
    parts.append(f'## `{section}`\n')
    for name in names:
      if name is not None:
        parts.append(f'### `{section}.name = {name!r}`\n')
      parts.append(_table(rows_of(schema.keys(section, name))))
  parts += ['## Schedules\n', _SCHEDULES]
  for name in SCHEDULES:
    parts.append(f'### {name}\n')
    parts.append(_table(rows_of(schema.schedule_keys(name))))
  return '\n'.join(parts)


def section_names() -> dict[str, tuple[str | None, ...]]:
  """Returns the sections with one name for each kind of constructor."""
  named = {
    'encoder': ENCODER_KINDS,
    'head': tuple(schema.HEADS),
    'text_encoder': TEXT_ENCODER_KINDS,
    'method': tuple(METHODS),
    'augment': tuple(RECIPES),
    'data': (*data.SOURCES, 'a name of TFDS'),
    'optim': tuple(algorithms.OPTIMIZERS),
  }
  return {section: named.get(section, (None,)) for section in schema.SECTIONS}


def _table(rows: list[Row]) -> str:
  if not rows:
    return 'No keys beside its name.\n'
  lines = ['| key | takes | default | meaning |', '|---|---|---|---|']
  for row in rows:
    cells = (f'`{row.name}`', row.takes, f'`{row.default}`', row.meaning)
    lines.append('| ' + ' | '.join(_cell(cell) for cell in cells) + ' |')
  return '\n'.join(lines) + '\n'


def _cell(text: str) -> str:
  """Keeps a bar in a text from ending its cell."""
  return inspect.cleandoc(text).replace('|', r'\|')


def _written(value: Any) -> str:
  if isinstance(value, Mapping):
    given = {k: v for k, v in value.items() if v is not None}
    return ', '.join(f'{k}={v!r}' for k, v in given.items())
  return repr(value)
