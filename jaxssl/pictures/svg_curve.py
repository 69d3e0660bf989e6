"""A curve as a piece of HTML, which needs no library to draw."""

from collections.abc import Callable, Mapping, Sequence
import math

from jaxssl.pictures.page import text

_WIDTH, _HEIGHT = 640, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 16, 20, 40
_NAME, _SPACE = 280, 24  # pixels that the words of a level take

Series = tuple[Sequence[float], Sequence[float]]
# Step and value to x and y.
Place = Callable[[float, float], tuple[float, float]]


def curve(
  title: str, series: Series, levels: Mapping[str, float], *, unit: str = ''
) -> str:
  """Returns an SVG of values over steps, with levels to compare with.

  Args:
    title: what the values are.
    series: steps and values, at least one, in order of steps.
    levels: horizontal lines by name.
    unit: after the numbers.
  """
  steps, values = series
  low, high = _range([*values, *levels.values()])
  last = max(steps[-1], 1)

  def place(step: float, value: float) -> tuple[float, float]:
    x = _LEFT + (_WIDTH - _LEFT - _RIGHT) * step / last
    share = (value - low) / (high - low)
    return x, _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * share

  parts = [_grid_line(place, tick, last, unit) for tick in _ticks(low, high)]
  # The last one ends with the picture, which a wider font would leave.
  parts += [
    _words(place(step, low)[0], _HEIGHT - 22, f'{step:,}', anchor)
    for step, anchor in {
      0: 'middle',
      last // 2: 'middle',
      last: 'end',
    }.items()
  ]
  parts.append(_words(_WIDTH / 2, _HEIGHT - 4, 'optimizer steps', 'middle'))
  points = [place(*point) for point in zip(steps, values, strict=True)]
  for name, value in levels.items():
    (left, y), (right, _) = place(0, value), place(last, value)
    words = f'{name} {_number(value, unit)}'
    parts.append(_line('level', left, right, y))
    parts.append(_words(right, _free_line(y, points), words, 'end'))
  line = ' '.join(f'{x:.1f},{y:.1f}' for x, y in points)
  parts.append(f'<polyline class="line" points="{line}"/>')
  x, y = points[-1]
  parts.append(f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>')
  now = f'{title}: {_number(values[-1], unit)} at step {steps[-1]:,}'
  return (
    f'<figure class="curve"><figcaption>{text(now)}</figcaption>'
    f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
    f'aria-label="{text(now)}">{"".join(parts)}</svg></figure>'
  )


def _number(value: float, unit: str) -> str:
  return f'{value:.1f}{unit}' if unit else f'{value:.4g}'


def _range(values: Sequence[float]) -> tuple[float, float]:
  low, high = min(values), max(values)
  margin = 0.06 * (high - low) or 0.06 * abs(high) or 1.0
  return low - margin, high + margin


def _ticks(low: float, high: float) -> list[float]:
  """Returns three to seven round numbers between two."""
  raw = (high - low) / 4
  power = 10.0 ** math.floor(math.log10(raw))
  step = next(power * n for n in (1, 2, 5, 10) if power * n >= raw)
  first = math.ceil(low / step)
  return [n * step for n in range(first, math.floor(high / step) + 1)]


def _grid_line(place: Place, tick: float, last: float, unit: str) -> str:
  (left, y), (right, _) = place(0, tick), place(last, tick)
  return _line('grid', left, right, y) + _words(
    left - 6, y + 4, f'{tick:.6g}{unit}', 'end'
  )


def _free_line(y: float, points: Sequence[tuple[float, float]]) -> float:
  """Returns where words of a level stand: above it, or below a curve."""
  right = [at for x, at in points if x > _WIDTH - _NAME] or [points[-1][1]]
  is_above = any(y - _SPACE < at <= y for at in right)
  is_below = any(y <= at < y + _SPACE for at in right)
  has_room = y + _SPACE < _HEIGHT - _BOTTOM
  return y + 17 if is_above and not is_below and has_room else y - 5


def _line(kind: str, left: float, right: float, y: float) -> str:
  return (
    f'<line class="{kind}" x1="{left:.1f}" x2="{right:.1f}" y1="{y:.1f}" '
    f'y2="{y:.1f}"/>'
  )


def _words(x: float, y: float, words: str, anchor: str) -> str:
  return (
    f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{text(words)}</text>'
  )
