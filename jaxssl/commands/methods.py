"""`jaxssl methods`: what `--method` takes."""

import argparse
from collections.abc import Sequence
import functools
import inspect

from rich.console import Console
from rich.table import Table

from jaxssl.errors import UserError
from jaxssl.methods import METHODS


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds no arguments: the command has none."""
  del parser


def run(arguments: argparse.Namespace, overrides: Sequence[str]) -> int:
  """Prints a line for each method: name, what it is, its small config."""
  del arguments
  if overrides:
    raise UserError('methods takes no --config.* arguments')
  table = Table('method', 'what it is', '--config')
  for name, row in METHODS.items():
    table.add_row(name, _summary(row.make), row.config)
  Console().print(table)
  print('jaxssl config METHOD lists the keys of one.')
  return 0


def _summary(make: object) -> str:
  """Returns the first sentence of a constructor's documentation."""
  if isinstance(make, functools.partial):
    make = make.func
  text = inspect.getdoc(make) or ''
  return ' '.join(text.split('\n\n')[0].split())
