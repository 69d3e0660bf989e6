"""What a field or an argument can take, read from its annotation.

A constructor says it once, where the value is declared: `Literal` lists the
possible values, and the aliases below bound numbers. Classes check themselves
by `check_fields`; configs and the command line convert by `convert`.
"""

from collections import abc
import dataclasses
import functools
import math
import os
import types
import typing
from typing import Annotated, Any, Literal

from jaxssl.errors import UserError, unknown


@dataclasses.dataclass(frozen=True)
class Range:
  """Which numbers a value can be.

  Attributes:
    low: the lowest number.
    high: the highest number.
    without_low: whether `low` itself is excluded.
    without_high: whether `high` itself is excluded.
  """

  low: float = -math.inf
  high: float = math.inf
  without_low: bool = False
  without_high: bool = False

  def __contains__(self, value: float) -> bool:
    """Tells whether a number is allowed; what is not finite never is."""
    if not math.isfinite(value):
      return False
    above = value > self.low if self.without_low else value >= self.low
    below = value < self.high if self.without_high else value <= self.high
    return above and below

  def __str__(self) -> str:
    """Says what is allowed, to stand behind "it must be"."""
    if self.high == math.inf:
      if self.low == 0:
        return 'positive' if self.without_low else 'at least 0'
      return f'{"above" if self.without_low else "at least"} {self.low:g}'
    low = f'{"(" if self.without_low else "["}{self.low:g}'
    return f'in {low}, {self.high:g}{")" if self.without_high else "]"}'


# A number of things, at least one of them.
Count = Annotated[int, Range(0, without_low=True)]
# A number of things, possibly none.
Natural = Annotated[int, Range(0)]
Positive = Annotated[float, Range(0, without_low=True)]
NonNegative = Annotated[float, Range(0)]
# A share, a probability or a momentum.
Fraction = Annotated[float, Range(0, 1)]
# A probability of being left out, which something must escape.
DropRate = Annotated[float, Range(0, 1, without_high=True)]


# A share of what there is that leaves something on both sides.
MaskRatio = Annotated[float, Range(0, 1, without_low=True, without_high=True)]


def check_fields(instance: Any) -> None:
  """Refuses values that the annotations of a dataclass do not allow.

  Only lists of values and ranges are checked, and only of plain values: a
  schedule may stand where a number does.

  Args:
    instance: instance of a dataclass, such as a method or a module.

  Raises:
    UserError: names the class, the field, its value and what would be right.
  """
  for name, hint in _bounded(type(instance)).items():
    value = getattr(instance, name)
    _check(f'{type(instance).__name__} {name}', value, hint)


@functools.cache
def _bounded(kind: type) -> dict[str, Any]:
  hints = typing.get_type_hints(kind, include_extras=True)
  names = {field.name for field in dataclasses.fields(kind)}
  return {
    name: hint
    for name, hint in hints.items()
    if name in names and _is_bounded(hint)
  }


def _is_bounded(hint: Any) -> bool:
  inner = _element(hint)
  return bool(
    _literals(hint) or _ranges(hint) or (inner and _is_bounded(inner))
  )


def _element(hint: Any) -> Any:
  """Returns X of `tuple[X, ...]`; None of other types."""
  for arm in _arms(hint):
    arguments = typing.get_args(arm)
    if _origin(arm) is tuple and arguments[1:] == (...,):
      return arguments[0]
  return None


def _check(name: str, value: Any, hint: Any) -> None:
  if isinstance(value, tuple):
    for element in value:
      _check(name, element, _element(hint))
    return
  is_number = isinstance(value, int | float) and not isinstance(value, bool)
  for allowed in _ranges(hint):
    if is_number and value not in allowed:
      raise UserError(f'{name} is {value}; it must be {allowed}')
  choices = _literals(hint)
  is_other = any(_is_exactly(value, arm) for arm in _arms(hint))
  if choices and not is_other:
    raise _not_one_of(name, value, choices)


def _not_one_of(name: str, value: Any, choices: abc.Sequence[Any]) -> UserError:
  if all(isinstance(choice, str) for choice in choices):
    return unknown(name, value, choices)
  shown = ' or '.join(str(choice) for choice in choices)
  return UserError(f'{name} is {value!r}; it must be {shown}')


def _arms(hint: Any) -> tuple[Any, ...]:
  """Returns the types that a hint joins by `|`."""
  if typing.get_origin(hint) in (typing.Union, types.UnionType):
    return tuple(a for arm in typing.get_args(hint) for a in _arms(arm))
  return (hint,)


def _plain(arm: Any) -> Any:
  """Returns an arm without its range."""
  is_bounded = typing.get_origin(arm) is Annotated
  return typing.get_args(arm)[0] if is_bounded else arm


def _ranges(hint: Any) -> list[Range]:
  return [
    extra
    for arm in _arms(hint)
    if typing.get_origin(arm) is Annotated
    for extra in typing.get_args(arm)[1:]
    if isinstance(extra, Range)
  ]


def _literals(hint: Any) -> tuple[Any, ...]:
  return tuple(
    choice
    for arm in _arms(hint)
    if typing.get_origin(_plain(arm)) is Literal
    for choice in typing.get_args(_plain(arm))
  )


def choices(hint: Any) -> tuple[Any, ...]:
  """Returns the values that a hint lists; none if it lists none."""
  return _literals(hint)


def takes_schedule(hint: Any) -> bool:
  """Tells whether a function of the step can stand where a value does."""
  return any(_origin(arm) is abc.Callable for arm in _arms(hint))


def _origin(arm: Any) -> Any:
  plain = _plain(arm)
  return typing.get_origin(plain) or plain


def convert(name: str, value: Any, hint: Any) -> Any:
  """Returns a value of a config as the type that its annotation says.

  An integer is a number, anything is a text, and a single value is a tuple of
  one; nothing is rounded or guessed.

  Args:
    name: dotted name of the value, for messages.
    value: as a config file or the command line gives it, plain.
    hint: the annotation, with `Literal`s and ranges.

  Raises:
    UserError: if the value is of another type or not among those allowed.
  """
  arms = _arms(hint)
  exact = [arm for arm in arms if _is_exactly(value, arm)]
  if exact:
    result = value
  else:
    converted = [found for arm in arms if (found := _as(name, value, arm))]
    if not converted:
      if _literals(hint):
        raise _not_one_of(name, value, _literals(hint))
      raise UserError(f'{name} takes {describe(hint)}, got {value!r}')
    result = converted[0].value
  _check(name, result, hint)
  return result


@dataclasses.dataclass(frozen=True)
class _Converted:
  """A value that could be converted; it may itself be None or 0."""

  value: Any


def _is_exactly(value: Any, arm: Any) -> bool:
  origin = _origin(arm)
  if origin is Any:
    return True
  if origin is Literal:
    choices = typing.get_args(_plain(arm))
    return any(type(value) is type(c) and value == c for c in choices)
  if origin in (type(None), bool, int, float, str):
    return type(value) is origin
  if origin in (dict, abc.Mapping):
    return isinstance(value, abc.Mapping)
  return False


def _as(name: str, value: Any, arm: Any) -> _Converted | None:
  """Returns the value as this arm of an annotation, None if it cannot be."""
  origin = _origin(arm)
  if origin is float and type(value) is int:
    return _Converted(float(value))
  if origin in (str, os.PathLike) and value is not None:
    is_text = not isinstance(value, bool | tuple | abc.Mapping)
    return _Converted(str(value)) if is_text else None
  if origin in (tuple, abc.Sequence) and value is not None:
    return _as_tuple(name, value, typing.get_args(_plain(arm)))
  return None


def _as_tuple(
  name: str, value: Any, items: tuple[Any, ...]
) -> _Converted | None:
  if isinstance(value, abc.Mapping):
    return None
  values = value if isinstance(value, tuple | list) else (value,)
  if len(items) == 2 and items[1] is Ellipsis:
    items = items[:1]
  if len(items) == 1:
    items = items * len(values)
  if len(items) != len(values):
    raise UserError(f'{name} takes {len(items)} values, got {value!r}')
  pairs = zip(values, items, strict=True)
  return _Converted(tuple(convert(name, v, item) for v, item in pairs))


_NAMES = {
  bool: 'true or false',
  int: 'an integer',
  float: 'a number',
  str: 'a text',
  type(None): 'none',
  dict: 'a section of keys',
  abc.Mapping: 'a section of keys',
  tuple: 'a tuple',
  abc.Sequence: 'a tuple',
  abc.Callable: 'a schedule',
  os.PathLike: 'a path',
}


def describe(hint: Any) -> str:
  """Says in words what an annotation takes, for example "an integer or none".

  Args:
    hint: the annotation.
  """
  words = []
  for arm in _arms(hint):
    origin = _origin(arm)
    if origin is Literal:
      words += [str(choice) for choice in typing.get_args(_plain(arm))]
      continue
    words.append(_NAMES.get(origin, 'anything'))
  return ' or '.join(dict.fromkeys(words))
