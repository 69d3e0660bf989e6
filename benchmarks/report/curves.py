"""One picture of the training curves of several runs.

  python -m benchmarks.report.curves runs/small/* --out curves.png

A panel per workdir: the loss as logged (left axis, blue) and the accuracy of
the online kNN in per cent (right axis, orange).
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
  for panel, workdir in zip(panels, workdirs, strict=False):
    _draw_run(panel, workdir)
  for panel in panels[len(workdirs) :]:
    panel.axis('off')
  canvas.save(figure, path)


def _draw_run(panel: Any, workdir: pathlib.Path) -> None:
  records = read_json_lines(workdir / 'metrics.jsonl')
  panel.plot(*_series(records, 'loss'), color=LOSS, lw=1.5)
  panel.set_title(workdir.name, fontsize=9)
  panel.tick_params(axis='y', colors=LOSS, labelsize=7)
  panel.tick_params(axis='x', labelsize=7)
  right = panel.twinx()
  steps, accuracies = _series(records, 'knn/top1')
  percent = [100 * accuracy for accuracy in accuracies]
  right.plot(steps, percent, color=KNN, marker='o', ms=3, lw=1.5)
  right.tick_params(axis='y', colors=KNN, labelsize=7)
  for axes in (panel, right):
    axes.spines['top'].set_visible(False)


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
