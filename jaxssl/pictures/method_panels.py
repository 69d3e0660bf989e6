"""Which picture shows what a method has learned to do."""

from collections.abc import Callable
import importlib

from jaxssl.methods import METHODS
from jaxssl.pictures.panel import Panel


def method_panel(name: str) -> Callable[..., Panel] | None:
  """Returns what draws a method's panel, None for a method without one.

  Args:
    name: key of `METHODS`.

  Returns:
    A function (method, params, state, images, augment) -> picture.
  """
  place = METHODS[name].panel
  if place is None:
    return None
  module, _, function = place.partition('.')
  return getattr(importlib.import_module(f'jaxssl.pictures.{module}'), function)
