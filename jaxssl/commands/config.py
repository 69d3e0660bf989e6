"""`jaxssl config`: every key, with its type, its value and its meaning."""

import argparse
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from jaxssl import config as config_lib
from jaxssl import defaults
from jaxssl.arguments import configs
from jaxssl.config import reference, schema, shipped
from jaxssl.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the arguments of the command."""
  parser.add_argument(
    'method', nargs='?', help='for example simclr; or give --file'
  )
  parser.add_argument(
    '--file', help='a Python file with get_config(), or a name of --list'
  )
  parser.add_argument(
    '--list', action='store_true', help='the configs that come with jaxssl'
  )
  parser.add_argument('--encoder', help='default: that of the method')
  parser.add_argument('--data', help='default: photos')
  parser.add_argument(
    '--page',
    action='store_true',
    help='all keys of all methods, as the Markdown of docs/config.md',
  )


def run(arguments: argparse.Namespace, overrides: Sequence[str]) -> int:
  """Prints the keys of one method, or the page of all keys."""
  if arguments.list:
    _print_list()
    return 0
  if arguments.page:
    print(reference.page(), end='')
    return 0
  if bool(arguments.method) == bool(arguments.file):
    raise UserError(
      'give a method, for example simclr, or --file, --list or --page'
    )
  if arguments.file:
    configs.refuse_beside(arguments, '--file', ('encoder', 'data'))
    config = config_lib.load_file(arguments.file)
  else:
    config = defaults.default_config(
      arguments.method, arguments.encoder, arguments.data or 'photos'
    )
  changes = config_lib.parse_overrides(overrides)
  config = schema.apply_overrides(schema.complete(config), changes)
  for section, name, rows in reference.sections_of(config):
    _print(section if name is None else f'{section}: {name}', rows)
  return 0


def _print_list() -> None:
  lines = []
  for name, path in shipped.configs().items():
    argument = shipped.argument(path)
    shown = f'{name}:{argument.upper()}' if argument else name
    lines.append((shown, shipped.summary(path)))
  width = max(len(shown) for shown, _ in lines)
  for shown, summary in lines:
    print(f'{shown:<{width}}  {summary}')


def _print(title: str, rows: Sequence[reference.Row]) -> None:
  table = Table(
    'key', 'takes', 'value', 'meaning', title=title, title_justify='left'
  )
  for row in rows:
    table.add_row(row.name, row.takes, row.default, row.meaning)
  Console(markup=False).print(table)
