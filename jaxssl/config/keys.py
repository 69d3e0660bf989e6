"""The keys of a section: what a constructor takes, read from its own code.

Name, type and default come from the signature, the meaning from the docstring,
so nothing about a key is written twice.
"""

from collections.abc import Callable, Mapping
import dataclasses
import inspect
import typing
from typing import Any

from flax import linen as nn
import numpy as np

from jaxssl import fields
from jaxssl.docstrings import meanings_of, unbound
from jaxssl.models.variants import DtypeName

# Of a key that has no default.
REQUIRED = inspect.Parameter.empty


@dataclasses.dataclass(frozen=True, kw_only=True)
class Key:
  """A key of a section.

  Attributes:
    name: its name in the section.
    hint: its annotation, see `fields`.
    default: its default, or `REQUIRED`.
    meaning: what its docstring says, on one line; may be empty.
  """

  name: str
  hint: Any
  default: Any
  meaning: str

  @property
  def is_required(self) -> bool:
    """Whether a config must give it."""
    return self.default is REQUIRED


def keys_of(constructor: Callable[..., Any]) -> dict[str, Key]:
  """Returns the keys that a config can give to a constructor.

  These are its arguments that plain values can be given for, but for the name,
  which chooses the constructor: not modules or functions.

  Args:
    constructor: a function, a class, or a partial of one of them.
  """
  hints, meanings = hints_of(constructor), meanings_of(constructor)
  return {
    name: Key(
      name=name,
      hint=hints.get(name, Any),
      default=parameter.default,
      meaning=meanings.get(name, ''),
    )
    for name, parameter in inspect.signature(constructor).parameters.items()
    if parameter.kind
    in (parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    and name not in ('parent', 'name')
    and _is_plain(parameter.default)
  }


def keyword_keys_of(constructor: Callable[..., Any]) -> dict[str, Key]:
  """Returns those of `keys_of` that must be given by keyword."""
  parameters = inspect.signature(constructor).parameters
  return {
    name: key
    for name, key in keys_of(constructor).items()
    if parameters[name].kind is inspect.Parameter.KEYWORD_ONLY
  }


def keys_of_module(module: nn.Module) -> dict[str, Key]:
  """Returns the keys of an encoder; its own values are the defaults.

  Args:
    module: as its name alone makes it, for example `make_encoder('vit_s16')`.
  """
  hints, meanings = hints_of(type(module)), meanings_of(type(module))
  values = {
    field.name: getattr(module, field.name)
    for field in dataclasses.fields(module)
    if field.name not in ('parent', 'name')
  }
  values['dtype'], hints['dtype'] = np.dtype(values['dtype']).name, DtypeName
  return {
    name: Key(
      name=name,
      hint=hints[name],
      default=value,
      meaning=meanings.get(name, ''),
    )
    for name, value in values.items()
    if _is_plain(value)
  }


def hints_of(constructor: Callable[..., Any]) -> dict[str, Any]:
  """Returns the annotations of the arguments, with their ranges."""
  function = unbound(constructor)
  if inspect.isclass(function) and not dataclasses.is_dataclass(function):
    function = function.__init__
  return typing.get_type_hints(function, include_extras=True)


def _is_plain(value: Any) -> bool:
  """Whether a default can stand in a config (not a function or a module)."""
  if value is REQUIRED or value is None:
    return True
  if isinstance(value, (tuple, list)):
    return all(_is_plain(item) for item in value)
  return isinstance(value, (bool, int, float, str, Mapping))


def check(name: str, value: Any, key: Key) -> Any:
  """Returns a value as its key takes it, see `fields.convert`.

  A key whose annotation is None by default takes None, too.

  Args:
    name: name of the key, for messages.
    value: value to look at.
    key: what the key takes.

  Raises:
    UserError: if the key does not take the value.
  """
  hint = key.hint | None if key.default is None else key.hint
  return fields.convert(name, value, hint)
