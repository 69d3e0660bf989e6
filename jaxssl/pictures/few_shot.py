"""Accuracy over the number of labelled images per class."""

from collections.abc import Mapping
import os
import re

from jaxssl import errors
from jaxssl.pictures import canvas, palette

Metrics = Mapping[str, float]


def few_shot_curve(
  results: Mapping[str, Metrics],
  path: str | os.PathLike[str],
  *,
  baselines: Mapping[str, float] | None = None,
) -> None:
  """Draws few-shot accuracy with its spread over draws, a line an encoder.

  Args:
    results: for each encoder, name -> what `few_shot.FewShot.run` returns.
    path: picture to write; the ending names the format.
    baselines: accuracies (fractions) without labels to compare with, by name,
      for example of zero-shot classification.

  Raises:
    jaxssl.errors.UserError: if there is nothing to draw, or matplotlib is
      missing.
  """
  curves = {name: shots_of(metrics) for name, metrics in results.items()}
  if not curves or not all(curves.values()):
    raise errors.UserError(
      'there is no few-shot result to draw; run `jaxssl eval fewshot` first'
    )
  figure = canvas.new_figure(6.4, 4.0)
  axes = figure.subplots()
  styles = palette.class_styles(len(curves))
  for style, (name, points) in zip(styles, curves.items(), strict=True):
    shots, means, deviations = zip(*points, strict=True)
    axes.errorbar(
      shots,
      means,
      yerr=deviations,
      label=canvas.name(name),
      capsize=3,
      **style,
    )
  for name, value in (baselines or {}).items():
    label = canvas.name(f'{name}, {value:.1%}')
    axes.axhline(100 * value, color='0.35', ls='--', label=label)
  ticks = sorted({shot for points in curves.values() for shot, *_ in points})
  axes.set_xscale('log', base=2)
  axes.set_xticks(ticks, [str(tick) for tick in ticks])
  axes.set_xlabel('labelled images per class')
  axes.set_ylabel('top-1 accuracy (%)')
  axes.grid(alpha=0.3)
  axes.spines[['top', 'right']].set_visible(False)
  # Above: a line may be anywhere below.
  axes.legend(frameon=False, loc='lower left', bbox_to_anchor=(0, 1), ncols=2)
  canvas.save(figure, path)


def shots_of(metrics: Metrics) -> list[tuple[int, float, float]]:
  """Returns (shots, mean, standard deviation) in per cent, by shots."""
  found = (re.fullmatch(r'top1_(\d+)shot', name) for name in metrics)
  shots = sorted(int(match[1]) for match in found if match)
  return [
    (k, 100 * metrics[f'top1_{k}shot'], 100 * metrics[f'std_{k}shot'])
    for k in shots
  ]
