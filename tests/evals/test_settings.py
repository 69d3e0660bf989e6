import dataclasses
from typing import ClassVar

from jaxssl.evals import settings
from jaxssl.evals.corruptions import Corruptions
from jaxssl.evals.knn import Knn


@dataclasses.dataclass(frozen=True, kw_only=True)
class Example:
  """What it is.

  More about it.

  Attributes:
    name: name and version.
    rate: how fast, in a sentence that is
      longer than a line.
    sizes: how large.
    place: where it ran.
  """

  needs: ClassVar[type] = tuple
  name: str = 'example-v1'
  rate: float | None = None
  sizes: tuple[int, ...] = (1, 2)
  place: str = dataclasses.field(default='', metadata=settings.FILLED_IN)


def test_settings_are_the_fields_with_their_meaning():
  rate, sizes = settings.settings(Example(rate=0.5))
  assert (rate.name, rate.default) == ('rate', 0.5)
  assert rate.meaning == 'how fast, in a sentence that is longer than a line.'
  assert not rate.takes_several
  assert rate.from_texts(['2']) == 2.0
  assert sizes.takes_several
  assert sizes.from_texts(['3', '4']) == (3, 4)
  assert settings.summary(Example) == 'What it is'


def test_what_was_filled_in_is_recorded():
  assert settings.settings_of(Example(place='here'))['place'] == 'here'


def test_an_evaluation_within_is_recorded_with_its_name():
  found = settings.settings_of(Corruptions(classifier=Knn(ks=(3,))))
  assert found['classifier'] == {
    'name': 'knn-v1',
    'ks': (3,),
    'temperature': 0.07,
  }
