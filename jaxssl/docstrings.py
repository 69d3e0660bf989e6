"""What a docstring says of each argument, so that nothing is written twice."""

from collections.abc import Callable
import functools
import inspect
import re
from typing import Any

_ENTRY = re.compile(r'^  (\w+): ?(.*)$')


def meanings_of(constructor: Callable[..., Any]) -> dict[str, str]:
  """Returns what the docstring says of each argument, each on one line.

  Args:
    constructor: a function, a class, or a partial of one of them.
  """
  text = inspect.getdoc(unbound(constructor)) or ''
  found: dict[str, str] = {}
  name, inside = '', False
  for line in text.splitlines():
    if not line.startswith(' '):
      # A line break inside a section changes nothing.
      inside = inside if not line else line in ('Args:', 'Attributes:')
    elif inside and (entry := _ENTRY.match(line)):
      name, found[entry[1]] = entry[1], entry[2]
    elif inside and name:
      found[name] += ' ' + line.strip()
  return found


def unbound(constructor: Callable[..., Any]) -> Callable[..., Any]:
  """Returns what a partial, or one of a partial, calls in the end."""
  while isinstance(constructor, functools.partial):
    constructor = constructor.func
  return constructor
