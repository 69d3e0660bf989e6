"""Accuracy under shift over accuracy without, along weights in between."""

from collections.abc import Mapping
import os

from jaxssl.evals.wise_ft import REFERENCE, SHIFTED, middle
from jaxssl.pictures import canvas, palette


def wise_ft_curve(
  found: Mapping[float, Mapping[str, float]], path: str | os.PathLike[str]
) -> None:
  """Draws a point for each share of the fine-tuned weights, and a line.

  Args:
    found: α -> accuracies (fractions) by column, see `wise_ft.WiseFT.run`.
    path: picture to write; the ending names the format.

  Raises:
    jaxssl.errors.UserError: if matplotlib is missing.
  """
  figure = canvas.new_figure(5.2, 4.4)
  axes = figure.subplots()
  x, y = (
    [100 * row[column] for row in found.values()]
    for column in (REFERENCE, SHIFTED)
  )
  (style,) = palette.class_styles(1)
  axes.plot(x, y, **style)
  # Neighbours can be too close for a name each.
  named = {min(found), middle(found), max(found)}
  for alpha, *place in zip(found, x, y, strict=True):
    if alpha in named:
      axes.annotate(
        f'{alpha:g}', place, xytext=(6, -12), textcoords='offset points'
      )
  axes.set_xlabel('top-1 without shift (%)')
  axes.set_ylabel('mean top-1 under shift (%)')
  axes.set_title('by the share of the fine-tuned weights')
  axes.margins(0.1)
  axes.grid(alpha=0.3)
  axes.spines[['top', 'right']].set_visible(False)
  canvas.save(figure, path)
