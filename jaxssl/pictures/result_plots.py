"""The pictures of evaluations that have one."""

from collections.abc import Callable, Mapping
import os
from typing import Any

from jaxssl.evals.shift import Shift
from jaxssl.evals.table import Metrics
from jaxssl.evals.wise_ft import WiseFT
from jaxssl.pictures.shift import shift_plot
from jaxssl.pictures.wise_ft import wise_ft_curve

Draw = Callable[[Any, Metrics, str | os.PathLike[str]], None]


def _shift(
  evaluation: Shift, metrics: Metrics, path: str | os.PathLike[str]
) -> None:
  points = {
    name: (metrics[f'{name}_reference'], metrics[name])
    for name in evaluation.shifted
  }
  shift_plot(points, evaluation.baseline, path)


def _wise_ft(
  evaluation: WiseFT, metrics: Metrics, path: str | os.PathLike[str]
) -> None:
  wise_ft_curve(evaluation.by_alpha(metrics), path)


# By evaluation, how it is drawn from the metrics.
RESULT_PLOTS: Mapping[type, Draw] = {Shift: _shift, WiseFT: _wise_ft}
