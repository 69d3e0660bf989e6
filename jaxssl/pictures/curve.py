"""The training curve: loss and, below it, the online kNN accuracy."""

from collections.abc import Sequence
import os
from typing import Any

from jaxssl import errors
from jaxssl.pictures import canvas, palette
from jaxssl.train import writers

Point = dict[str, float]


def training_curve(
  metrics: str | os.PathLike[str],
  path: str | os.PathLike[str],
  *,
  baselines: dict[str, float] | None = None,
) -> None:
  """Draws the loss and the online kNN accuracy of a run over its steps.

  The loss is shown as logged and, from 40 values on, as a running mean over one
  value in twenty.

  Args:
    metrics: `metrics.jsonl` of a run, one JSON object per line with `step`;
      uses `loss` and `knn/top1` (a fraction), each where it occurs. Of two
      lines with the same step (a run that was resumed) the later one counts.
    path: picture to write; the ending names the format.
    baselines: accuracies (fractions) to compare with, by name.

  Raises:
    jaxssl.errors.UserError: if the file is missing, holds no loss, or
      matplotlib is missing.
  """
  points = read_points(metrics)
  loss, knn = series(points, 'loss'), series(points, 'knn/top1')
  if not loss[0]:
    raise errors.UserError(f'{metrics} holds no loss to draw; train first')
  figure = canvas.new_figure(6.4, 5.4 if knn[0] else 3.2)
  axes = figure.subplots(2 if knn[0] else 1, sharex=True, squeeze=False)[:, 0]
  _draw_loss(axes[0], *loss)
  if knn[0]:
    _draw_knn(axes[1], *knn, baselines or {})
  axes[-1].set_xlabel('optimizer steps')
  axes[-1].set_xlim(left=0)
  for ax in axes:
    ax.grid(alpha=0.3)
    ax.spines[['top', 'right']].set_visible(False)
  canvas.save(figure, path)


def read_points(path: str | os.PathLike[str]) -> list[Point]:
  """Returns what is known of each step, in order of steps.

  Raises:
    UserError: if the file cannot be read.
  """
  try:
    records = writers.read_json_lines(path)
  except OSError as error:
    raise errors.UserError(
      f'cannot read {path}: {error.strerror or error}; give the metrics.jsonl '
      'of a run'
    ) from error
  points: dict[float, Point] = {}
  for record in records:
    points[record['step']] = {**points.get(record['step'], {}), **record}
  return [points[step] for step in sorted(points)]


def series(points: list[Point], key: str) -> tuple[list[float], list[float]]:
  """Returns steps and values of the points that have the key."""
  found = [(p['step'], p[key]) for p in points if p.get(key) is not None]
  return [step for step, _ in found], [value for _, value in found]


def _running_mean(values: Sequence[float], width: int) -> list[float]:
  """Returns means over the last `width` values (fewer at the start)."""
  windows = (values[max(0, i + 1 - width) : i + 1] for i in range(len(values)))
  return [sum(window) / len(window) for window in windows]


def _draw_loss(
  ax: Any, steps: Sequence[float], values: Sequence[float]
) -> None:
  color, width = palette.COLORS[0], len(values) // 20
  ax.set_ylabel('training loss')
  if width < 2:  # too few to smooth
    ax.plot(steps, values, color=color, lw=2)
    return
  ax.plot(steps, values, color=color, alpha=0.35, lw=1, label='as logged')
  smooth = _running_mean(values, width)
  ax.plot(steps, smooth, color=color, lw=2, label=f'mean of {width} values')
  ax.legend(frameon=False)


def _draw_knn(
  ax: Any,
  steps: Sequence[float],
  values: Sequence[float],
  baselines: dict[str, float],
) -> None:
  percent = [100 * value for value in values]
  ax.plot(
    steps, percent, color=palette.COLORS[1], marker='o', ms=4, lw=2, zorder=3
  )
  last = f'{percent[-1]:.1f} %'
  ax.annotate(
    last,
    (steps[-1], percent[-1]),
    xytext=(0, 7),
    textcoords='offset points',
    ha='right',
  )
  styles = ('--', ':', '-.')
  for i, (name, value) in enumerate(baselines.items()):
    ax.axhline(
      100 * value,
      color='0.35',
      ls=styles[i % 3],
      label=canvas.name(f'{name}, {value:.1%}'),
    )
  ax.set_ylabel('online kNN accuracy (%)')
  ax.set_ylim(0, 105)
  if baselines:
    ax.legend(frameon=False, loc='lower right')
