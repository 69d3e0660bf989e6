"""How a classifier does on images of another distribution.

As the papers of the sets do it (ImageNet-V2, arXiv:1902.10811; -A,
arXiv:1907.07174; -R, arXiv:2006.16241; ObjectNet, NeurIPS 2019): where a set
has only some of the classes, only these may be answered, and the accuracy
without shift is taken on the images of these classes too.
"""

from collections.abc import Mapping, Sequence
import dataclasses
from typing import ClassVar

import numpy as np

from jaxssl import errors
from jaxssl.evals import labels, shifted_sets
from jaxssl.evals.effective_robustness import effective_robustness
from jaxssl.evals.features import Features
from jaxssl.evals.knn import Knn
from jaxssl.evals.needs import Judge, ShiftedFeatures
from jaxssl.evals.settings import FILLED_IN, as_text
from jaxssl.evals.table import Metrics, Table
from jaxssl.evals.zeroshot import ZeroShot


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shift:
  """A classifier on sets of another distribution.

  Attributes:
    shifted: sets of another distribution: a TFDS name, a folder or a file each,
      with :SPLIT behind it where that is not test.
    class_map: JSON file, class of a shifted set -> class of the data, or null
      for classes that do not count; None: classes of the same name.
    baseline: JSON file, name of a set -> [[accuracy, accuracy under shift],
      ...] of other models, fractions; adds effective robustness.
    classifier: protocol that classifies; None: zero-shot for an image-text run,
      else kNN of the training split.
  """

  name = 'shift-v1'
  needs: ClassVar[type] = ShiftedFeatures
  shifted: Mapping[str, str] = dataclasses.field(
    default_factory=dict, metadata=shifted_sets.NAMED
  )
  class_map: Mapping[str, str | None] | None = dataclasses.field(
    default=None, metadata=shifted_sets.CLASS_MAP
  )
  baseline: Mapping[str, Sequence[tuple[float, float]]] = dataclasses.field(
    default_factory=dict,
    metadata=as_text(lambda texts: read_baselines(*texts), 'FILE'),
  )
  classifier: Knn | ZeroShot | None = dataclasses.field(
    default=None, metadata=FILLED_IN
  )

  check = labels.require

  def __post_init__(self) -> None:
    """Raises `UserError` for baselines of sets that there are not."""
    for name in self.baseline:
      if name not in self.shifted:
        raise errors.UserError(
          f'--baseline names {name!r}, which is none of --shifted'
        )

  def run(
    self, judge: Judge, reference: Features, shifted: Mapping[str, Features]
  ) -> dict[str, float]:
    """Classifies the images of each set and of the reference.

    Args:
      judge: features, labels that may be answered -> metrics with `top1`.
      reference: features without shift, with class names.
      shifted: features of each set, labels and names its own.

    Returns:
      `top1` and `mean_per_class`, the means of the sets; for each set `<set>`,
      top-1 under shift, `<set>_mean_per_class`,
      `<set>_reference`, top-1 of the same classes without shift,
      `<set>_classes`, how many they are, and with a baseline
      `<set>_effective_robustness`; `num_test`.

    Raises:
      UserError: if a set has no image of a known class.
    """
    metrics: dict[str, float] = {}
    for name, features in shifted.items():
      known = shifted_sets.mapped_labels(
        features, reference.class_names, self.class_map
      )
      among = np.unique(known[known >= 0])
      if not len(among):
        raise errors.UserError(
          f'{name} shares no class with {list(reference.class_names[:3])}...; '
          'give --class_map FILE'
        )
      labels.require_several(known, name, reference.class_names)
      own = Features(features.features, known, reference.class_names)
      judged = judge(own, among)
      metrics[name] = judged['top1']
      metrics[f'{name}_mean_per_class'] = judged['mean_per_class']
      metrics[f'{name}_reference'] = judge(_only(reference, among), among)[
        'top1'
      ]
      metrics[f'{name}_classes'] = len(among)
    mean, per_class = (
      float(np.mean([metrics[name + ending] for name in shifted]))
      for ending in ('', '_mean_per_class')
    )
    count = sum(int((f.labels >= 0).sum()) for f in shifted.values())
    return {
      'top1': mean,
      'mean_per_class': per_class,
      **metrics,
      'num_test': count,
      **{
        f'{name}_effective_robustness': value
        for name, value in robustness(metrics, self.baseline).items()
      },
    }

  def table(self, metrics: Metrics, *, encoder: str, data: str) -> Table:
    """Returns a line per set; see `Evaluation.table`.

    Args:
      metrics: what `run` returns.
      encoder: name of the encoder.
      data: name of the data.
    """
    rows: dict[str, Metrics] = {}
    for name in self.shifted:
      reference = metrics[f'{name}_reference']
      rows[name] = {
        'without shift': reference,
        'under shift': metrics[name],
        'difference': metrics[name] - reference,
      }
      robust = f'{name}_effective_robustness'
      if robust in metrics:
        rows[name] = {**rows[name], 'effective robustness': metrics[robust]}
    return Table(f'{self.name} of {encoder} on {data}, top-1 %', rows)


def read_baselines(path: str) -> dict[str, list[tuple[float, float]]]:
  """Reads the accuracies of other models; see `Shift.baseline`.

  Raises:
    jaxssl.errors.UserError: if the file holds something else, or numbers that
      give no line.
  """
  found = shifted_sets.read_json(path, '--baseline')
  try:
    points = {
      name: [(float(x), float(y)) for x, y in values]
      for name, values in found.items()
    }
  except (AttributeError, TypeError, ValueError) as error:
    raise errors.UserError(
      f'--baseline {path} must be one JSON object, '
      '{"name of a set": [[0.76, 0.63], [0.69, 0.56]]}'
    ) from error
  for values in points.values():
    # Refuses what gives no line now, not after the work.
    effective_robustness(
      0.5,
      0.5,
      baseline=[x for x, _ in values],
      baseline_shifted=[y for _, y in values],
    )
  return points


def _only(features: Features, among: np.ndarray) -> Features:
  kept = np.isin(features.labels, among)
  return Features(
    features.features[kept], features.labels[kept], features.class_names
  )


def robustness(
  metrics: Mapping[str, float],
  baselines: Mapping[str, Sequence[tuple[float, float]]],
) -> dict[str, float]:
  """Returns the effective robustness on each set that has baselines.

  Args:
    metrics: metrics that `Shift.run` returns.
    baselines: set -> (accuracy without shift, under shift) of other models, as
      fractions.
  """
  return {
    name: effective_robustness(
      metrics[f'{name}_reference'],
      metrics[name],
      baseline=[point[0] for point in points],
      baseline_shifted=[point[1] for point in points],
    )
    for name, points in baselines.items()
    if name in metrics
  }
