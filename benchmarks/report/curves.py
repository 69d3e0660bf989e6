"""One picture of the training curves of several runs.

  python -m benchmarks.report.curves runs/small/* --out curves.png

A panel per workdir: the loss as logged (left axis, blue) and the accuracy of
the online kNN in per cent (right axis, orange, the same scale in all panels).
"""

import argparse
import math
import pathlib
from typing import Any

from jaxssl.pictures import canvas, palette
from jaxssl.train.writers import read_json_lines

COLUMNS = 4
LOSS, KNN = palette.COLORS[:2]


def draw(workdirs: list[pathlib.Path], path: pathlib.Path) -> None:
  """Draws the runs in their order, four a row."""
  num_rows = math.ceil(len(workdirs) / COLUMNS)
  figure = canvas.new_figure(2.6 * COLUMNS, 1.9 * num_rows)
  grid = figure.subplots(num_rows, COLUMNS, squeeze=False)
  panels = grid.flatten()
  runs = [read_json_lines(workdir / 'metrics.jsonl') for workdir in workdirs]
  found = [100 * y for run in runs for y in _series(run, 'knn/top1')[1]]
  limits = (min(found) - 2, max(found) + 2) if found else (0, 100)
  for number, (workdir, records) in enumerate(zip(workdirs, runs, strict=True)):
    panel = panels[number]
    right = _draw_run(panel, workdir.name, records, limits)
    if number % COLUMNS == 0:
      panel.set_ylabel('training loss', color=LOSS, fontsize=8)
    if number % COLUMNS == COLUMNS - 1 or number == len(workdirs) - 1:
      right.set_ylabel('online kNN (%)', color=KNN, fontsize=8)
    if number + COLUMNS >= len(workdirs):
      panel.set_xlabel('optimizer steps', fontsize=8)
  for panel in panels[len(workdirs) :]:
    panel.axis('off')
  _draw_legend(figure)
  canvas.save(figure, path)


def _draw_legend(figure: Any) -> None:
  from matplotlib.lines import Line2D

  figure.legend(
    handles=[
      Line2D([], [], color=LOSS, label='training loss (left)'),
      Line2D([], [], color=KNN, marker='o', ms=3, label='online kNN (right)'),
    ],
    loc='outside upper center',
    ncols=2,
    frameon=False,
    fontsize=9,
  )


def _draw_run(panel: Any, name: str, records, limits: tuple[float, float]):
  """Draws a panel; returns its right axes."""
  panel.plot(*_series(records, 'loss'), color=LOSS, lw=1.5)
  panel.set_title(name, fontsize=9)
  panel.tick_params(axis='y', colors=LOSS, labelsize=7)
  panel.tick_params(axis='x', labelsize=7)
  right = panel.twinx()
  steps, accuracies = _series(records, 'knn/top1')
  percent = [100 * accuracy for accuracy in accuracies]
  right.plot(steps, percent, color=KNN, marker='o', ms=3, lw=1.5)
  right.tick_params(axis='y', colors=KNN, labelsize=7)
  right.set_ylim(*limits)
  for axes in (panel, right):
    axes.spines['top'].set_visible(False)
  return right


def _series(records, key) -> tuple[list[float], list[float]]:
  """Returns the steps that have a value, and the values."""
  found = [(r['step'], r[key]) for r in records if key in r]
  return [step for step, _ in found], [value for _, value in found]


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('workdirs', nargs='+', type=pathlib.Path)
  parser.add_argument('--out', type=pathlib.Path, required=True)
  args = parser.parse_args()
  runs = [w for w in args.workdirs if (w / 'metrics.jsonl').is_file()]
  if not runs:
    parser.error('none of the folders holds a metrics.jsonl')
  draw(runs, args.out)


if __name__ == '__main__':
  main()
