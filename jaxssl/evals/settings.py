"""The settings of an evaluation: its fields, as values and as text.

Name, type, default and meaning of a setting stand in one place, the dataclass
with its docstring. The command line and the tables are made from them.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
import inspect
import math
import types
import typing
from typing import Any

from jaxssl import fields
from jaxssl.docstrings import meanings_of
from jaxssl.errors import UserError
from jaxssl.evals.evaluation import Evaluation

Parse = Callable[[Sequence[str]], Any]


# Metadata of a field that follows from what is evaluated: recorded, not set.
FILLED_IN: Mapping[str, Any] = {'filled_in': True}


def as_text(parse: Parse, metavar: str) -> Mapping[str, Any]:
  """Returns the metadata of a field whose text is not that of its type.

  Args:
    parse: words of a command line to a value.
    metavar: what a word is, for the help, for example `'FILE'`.
  """
  return {'parse': parse, 'metavar': metavar}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Setting:
  """A setting of an evaluation.

  Attributes:
    name: name of the field.
    kind: type of its value.
    default: its value where nothing else is said.
    meaning: what it is, from the docstring of the class.
    parse: texts of a command line to a value; None: by the type.
    metavar: what its text is.
  """

  name: str
  kind: Any
  default: Any
  meaning: str
  parse: Parse | None
  metavar: str | None

  @property
  def takes_several(self) -> bool:
    """Whether its text is several words."""
    if self.parse is not None:
      return '=' in str(self.metavar)
    return typing.get_origin(self.kind) is tuple

  def from_texts(self, texts: Sequence[str]) -> Any:
    """Returns the value of the words of a command line.

    Raises:
      jaxssl.errors.UserError: if they are not of its type.
    """
    if self.parse is not None:
      return self.parse(texts)
    if self.takes_several:
      (item, *_) = typing.get_args(self.kind)
      return tuple(_typed(self.name, text, item) for text in texts)
    (text,) = texts
    return _typed(self.name, text, self.kind)


def settings(evaluation: Any) -> list[Setting]:
  """Returns the settings that a user can change."""
  kinds = typing.get_type_hints(type(evaluation))
  meanings = meanings_of(type(evaluation))
  return [
    Setting(
      name=field.name,
      kind=kinds[field.name],
      default=getattr(evaluation, field.name),
      meaning=meanings.get(field.name, ''),
      parse=field.metadata.get('parse'),
      metavar=field.metadata.get('metavar'),
    )
    for field in _fields(evaluation)
    if not field.metadata.get('filled_in')
  ]


def settings_of(evaluation: Any) -> dict[str, Any]:
  """Returns the fields of an evaluation by name, but for its own name.

  An evaluation within is given as its name and settings.
  """
  found = {f.name: getattr(evaluation, f.name) for f in _fields(evaluation)}
  return {name: _recorded(value) for name, value in found.items()}


def _recorded(value: Any) -> Any:
  if isinstance(value, Evaluation):
    return {'name': value.name, **settings_of(value)}
  return value


def summary(kind: type) -> str:
  """Returns the first sentence of a docstring."""
  first, _, _ = (inspect.getdoc(kind) or '').partition('\n')
  return first.rstrip('.')


def _fields(evaluation: Any) -> list[dataclasses.Field[Any]]:
  return [f for f in dataclasses.fields(evaluation) if f.name != 'name']


def _typed(name: str, text: str, kind: Any) -> Any:
  """Returns a text as a value of a type; nothing is rounded or guessed."""
  if isinstance(kind, types.UnionType):  # None is what is not given
    (kind,) = (k for k in typing.get_args(kind) if k is not types.NoneType)
  try:
    if kind is bool:
      return {'true': True, 'false': False}[text.lower()]
    value = kind(text)
    if kind is float and not math.isfinite(value):
      raise ValueError(value)
    return value
  except (ValueError, KeyError) as error:
    raise UserError(
      f'--{name} takes {fields.describe(kind)}, got {text!r}'
    ) from error
