from collections.abc import Callable, Mapping, Sequence
import dataclasses
import os
from typing import Annotated, Any, Literal

import pytest

from jaxssl import fields
from jaxssl.errors import UserError

Mode = Literal['jit', 'pmap']


# name -> (annotation, given, what it becomes)
CONVERTED = {
  'an integer': (int, 3, 3),
  'an integer is a number': (float, 3, 3.0),
  'a number is a text': (str, 3, '3'),
  'a path': (str | os.PathLike, '/a', '/a'),
  'none': (int | None, None, None),
  'a value of a list': (Mode, 'pmap', 'pmap'),
  'a switch beside names': (bool | Mode, True, True),
  'an integer of a list': (Literal[1, 2], 2, 2),
  'two numbers': (tuple[float, float], (0, 1), (0.0, 1.0)),
  'a list is a tuple': (tuple[float, ...], [1, 2, 3], (1.0, 2.0, 3.0)),
  'one is a tuple of one': (Sequence[str], 'txt', ('txt',)),
  'a text stays a text where both can be': (str | Sequence[str], 'a', 'a'),
  'several texts': (str | Sequence[str], ('a', 'b'), ('a', 'b')),
  'a section': (Mapping[str, Any] | None, {'a': 1}, {'a': 1}),
  'anything': (Any, object, object),
  'at the end of a range': (fields.Fraction, 1, 1.0),
}


@pytest.mark.parametrize(
  ('hint', 'given', 'expected'), CONVERTED.values(), ids=CONVERTED
)
def test_values_become_what_the_annotation_says(hint, given, expected):
  found = fields.convert('key', given, hint)
  assert found == expected
  assert type(found) is type(expected)


REFUSED = {
  'nothing is rounded': (int, 1.5, 'key takes an integer, got 1.5'),
  'a switch is no number': (int, True, 'key takes an integer, got True'),
  'nor is a number a switch': (bool, 1, 'key takes true or false, got 1'),
  'a text is no number': (float | None, 'x', 'takes a number or none'),
  'none is no text': (str, None, 'key takes a text, got None'),
  'a name that is close': (Mode, 'jitt', "unknown key 'jitt'; .*'jit'"),
  'a number that is not listed': (Literal[1, 2], 3, 'is 3; it must be 1 or 2'),
  'too many': (tuple[float, float], (1, 2, 3), 'key takes 2 values'),
  'one of them': (tuple[float, ...], (1, 'x'), "takes a number, got 'x'"),
  'a section': (float, {'name': 'cosine'}, 'key takes a number, got'),
  'no count': (fields.Count, 0, 'key is 0; it must be positive'),
  'below none': (fields.Natural, -1, 'key is -1; it must be at least 0'),
  'no share': (fields.Fraction, 1.5, r'key is 1.5; it must be in \[0, 1\]'),
  'all left out': (fields.DropRate, 1.0, r'it must be in \[0, 1\)'),
  'infinite': (fields.Positive, float('inf'), 'is inf; it must be positive'),
  'not a number': (fields.Fraction, float('nan'), 'key is nan'),
  'a range beside none': (fields.Count | None, 0, 'must be positive'),
}


@pytest.mark.parametrize(
  ('hint', 'given', 'message'), REFUSED.values(), ids=REFUSED
)
def test_what_a_value_cannot_be_is_told(hint, given, message):
  with pytest.raises(UserError, match=message):
    fields.convert('key', given, hint)


@dataclasses.dataclass(frozen=True)
class Layer:
  mode: Mode = 'jit'
  width: fields.Count = 1
  rate: fields.Fraction | Callable[[float], float] = 0.5
  depth: Annotated[int, fields.Range(2, 4)] = 2
  name: str = ''

  def __post_init__(self):
    fields.check_fields(self)


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'mode': 'jitt'}, "unknown Layer mode 'jitt'"),
    ({'width': 0}, 'Layer width is 0; it must be positive'),
    ({'rate': 2.0}, r'Layer rate is 2.0; it must be in \[0, 1\]'),
    ({'depth': 5}, r'Layer depth is 5; it must be in \[2, 4\]'),
  ],
)
def test_a_class_checks_itself(changes, message):
  with pytest.raises(UserError, match=message):
    Layer(**changes)


def test_a_schedule_may_stand_where_a_number_does():
  assert Layer(rate=lambda step: step).width == 1
  assert fields.takes_schedule(fields.Fraction | Callable[[float], float])
  assert not fields.takes_schedule(fields.Fraction)


@dataclasses.dataclass(frozen=True)
class _Several:
  rates: tuple[fields.Positive, ...] = (1.0,)
  places: tuple[fields.Count, ...] | None = None


def test_each_element_of_a_tuple_is_checked():
  fields.check_fields(_Several(rates=(0.1, 2.0), places=(1,)))
  fields.check_fields(_Several())
  with pytest.raises(UserError, match=r'rates is -1\.0; it must be posi'):
    fields.check_fields(_Several(rates=(0.1, -1.0)))
  with pytest.raises(UserError, match='places is 0; it must be'):
    fields.check_fields(_Several(places=(3, 0)))
