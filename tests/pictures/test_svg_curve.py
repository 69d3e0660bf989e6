import re

import pytest

from jaxssl.pictures.svg_curve import curve


def _points(svg):
  (found,) = re.findall(r'<polyline[^>]*points="([^"]*)"', svg)
  return [tuple(map(float, point.split(','))) for point in found.split()]


def test_values_and_levels_lie_on_one_scale():
  svg = curve('loss', ([0, 5, 10], [3.0, 2.0, 1.0]), {'guessing': 2.0})
  (x0, y0), (x1, y1), (x2, y2) = _points(svg)
  assert x0 < x1 < x2
  assert y0 < y1 < y2  # downwards on a screen
  (level,) = re.findall(r'class="level"[^>]* y1="([\d.]+)"', svg)
  assert float(level) == pytest.approx(y1, abs=0.1)
  assert 'guessing 2' in svg


def test_one_value_is_drawn():
  assert len(_points(curve('kNN', ([0], [50.0]), {}, unit=' %'))) == 1


def test_names_are_text():
  svg = curve('<b>', ([0, 1], [1.0, 2.0]), {'<i>': 1.5})
  assert '<b>' not in svg
  assert '<i>' not in svg


@pytest.mark.parametrize(('values', 'side'), [([4, 4.2], 1), ([4, 3.9], -1)])
def test_words_of_a_level_stand_beside_the_curve(values, side):
  svg = curve('kNN', ([0, 9], values), {'start': 4, 'low': 0, 'high': 8})
  (line,) = re.findall(r'y1="([\d.]+)" y2="[\d.]+"/><text[^>]*>start', svg)
  (words,) = re.findall(r'y="([\d.]+)"[^>]*>start', svg)
  assert (float(words) - float(line)) * side > 0
