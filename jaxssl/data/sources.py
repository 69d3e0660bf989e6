"""The table of sources, and how a section of a config becomes one of them."""

from collections.abc import Callable
import inspect
from typing import Any

from jaxssl.data.digits import digits
from jaxssl.data.photos import photos
from jaxssl.data.source import Source
from jaxssl.errors import unknown

SOURCES: dict[str, Callable[..., Source]] = {
  'photos': photos,
  'digits': digits,
}


def make_source(name: str, **kwargs: Any) -> Source:
  """Makes a source from the section of a config.

  Args:
    name: a key of `SOURCES`.
    **kwargs: arguments of that source.

  Returns:
    The source.

  Raises:
    UserError: for an unknown name or argument, or data that is not there.
  """
  if name not in SOURCES:
    raise unknown('data source', name, SOURCES)
  return _call(name, SOURCES[name], kwargs)


def _call(
  name: str, constructor: Callable[..., Source], kwargs: dict[str, Any]
) -> Source:
  known = inspect.signature(constructor).parameters
  for key in kwargs:
    if key not in known:
      raise unknown(f'argument of data source {name!r}', key, known)
  return constructor(**kwargs)
