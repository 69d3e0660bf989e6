"""Accuracy under shift over accuracy without."""

from collections.abc import Mapping, Sequence
import os
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from jaxssl.pictures import canvas, palette

Point = tuple[float, float]
_INSIDE = 1e-3
_TICKS = (1, 5, 10, 20, 30, 50, 70, 80, 90, 95, 99)


def shift_plot(
  points: Mapping[str, Point],
  baselines: Mapping[str, Sequence[Point]],
  path: str | os.PathLike[str],
) -> None:
  """Draws each set as a point on logit axes, as Taori et al. 2020.

  The dashed diagonal is where shift costs nothing; a line through the baselines
  of a set says what models of the usual kind reach. Accuracies of 0 and 1 are
  drawn at 0.1 and 99.9 %.

  Args:
    points: set -> (accuracy without shift, accuracy under shift), fractions.
    baselines: set -> such points of other models.
    path: picture to write; the ending names the format.

  Raises:
    jaxssl.errors.UserError: if matplotlib is missing.
  """
  figure = canvas.new_figure(5.2, 5.0)
  axes = figure.subplots()
  styles = palette.class_styles(len(points))
  for style, (name, point) in zip(styles, points.items(), strict=True):
    others = baselines.get(name, ())
    if others:
      x, y = (_logit(values) for values in zip(*others, strict=True))
      axes.plot(x, y, '.', color=style['color'], alpha=0.4)
      slope, intercept = np.polyfit(x, y, 1)
      ends = np.array([min(*x, _logit(point[0])), max(*x, _logit(point[0]))])
      axes.plot(ends, slope * ends + intercept, color=style['color'], lw=1)
    axes.plot(
      *_logit(point),
      markersize=9,
      ls='',
      label=canvas.name(name),
      **_marker(style),
    )
  values = [v for p in points.values() for v in p]
  values += [v for group in baselines.values() for p in group for v in p]
  low, high = _logit([min(values), max(values)]) + np.array([-0.4, 0.4])
  axes.plot([low, high], [low, high], color='0.5', ls='--', lw=1)
  ticks = [t for t in _TICKS if low <= _logit(t / 100) <= high]
  for axis in (axes.xaxis, axes.yaxis):
    axis.set_ticks(
      _logit(np.array(ticks) / 100) if ticks else [], [str(t) for t in ticks]
    )
  axes.set_xlim(low, high)
  axes.set_ylim(low, high)
  axes.set_aspect('equal')
  axes.set_xlabel('top-1 without shift (%)')
  axes.set_ylabel('top-1 under shift (%)')
  axes.grid(alpha=0.3)
  axes.spines[['top', 'right']].set_visible(False)
  axes.legend(frameon=False, loc='upper left')
  canvas.save(figure, path)


def _logit(values: ArrayLike) -> np.ndarray:
  return special.logit(np.clip(np.asarray(values, float), _INSIDE, 1 - _INSIDE))


def _marker(style: Mapping[str, Any]) -> dict[str, Any]:
  return {'marker': 'o', **{k: v for k, v in style.items() if k != 'ls'}}
