"""How a classifier does on images of another distribution.

As the papers of the sets do it (ImageNet-V2, arXiv:1902.10811; -A,
arXiv:1907.07174; -R, arXiv:2006.16241; ObjectNet, NeurIPS 2019): where a set
has only some of the classes, only these may be answered, and the accuracy
without shift is taken on the images of these classes too.
"""

from collections.abc import Callable, Mapping, Sequence
import dataclasses
from typing import Any, ClassVar

import numpy as np

from jaxssl import errors
from jaxssl.evals.effective_robustness import effective_robustness
from jaxssl.evals.features import Features

Judge = Callable[[Features, np.ndarray | None], Mapping[str, float]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shift:
  """The protocol.

  Attributes:
    shifted: name of each set -> what it was read from.
    class_map: class of a shifted set -> class of the reference, or None for
      classes that do not count; None: classes of the same name.
    classifier: name and settings of the protocol that classifies.
  """

  name: ClassVar[str] = 'shift-v1'
  shifted: Mapping[str, str]
  class_map: Mapping[str, str | None] | None
  classifier: Mapping[str, Any]

  def run(
    self, judge: Judge, reference: Features, shifted: Mapping[str, Features]
  ) -> dict[str, float]:
    """Classifies the images of each set and of the reference.

    Args:
      judge: features, labels that may be answered -> metrics with `top1`.
      reference: features without shift, with class names.
      shifted: features of each set, labels and names its own.

    Returns:
      `top1`, the mean of the sets; for each set `<set>`, top-1 under shift,
      `<set>_reference`, top-1 of the same classes without shift, and
      `<set>_classes`, how many they are; `num_test`.
    """
    metrics: dict[str, float] = {}
    for name, features in shifted.items():
      labels = mapped_labels(features, reference.class_names, self.class_map)
      among = np.unique(labels[labels >= 0])
      if not len(among):
        raise errors.UserError(
          f'{name} shares no class with {list(reference.class_names[:3])}...; '
          'give --class_map FILE'
        )
      own = Features(features.features, labels, reference.class_names)
      metrics[name] = judge(own, among)['top1']
      metrics[f'{name}_reference'] = judge(_only(reference, among), among)[
        'top1'
      ]
      metrics[f'{name}_classes'] = len(among)
    mean = float(np.mean([metrics[name] for name in shifted]))
    count = sum(int((f.labels >= 0).sum()) for f in shifted.values())
    return {'top1': mean, **metrics, 'num_test': count}


def mapped_labels(
  features: Features,
  names: Sequence[str],
  class_map: Mapping[str, str | None] | None,
) -> np.ndarray:
  """Returns the labels of a shifted set in the numbers of the reference.

  Args:
    features: with labels and class names of the shifted set.
    names: classes of the reference.
    class_map: see `Shift`.

  Returns:
    int32 [n], -1 for rows whose class does not count.

  Raises:
    jaxssl.errors.UserError: if the map names a class that there is not.
  """
  number = {name: i for i, name in enumerate(names)}
  new = np.full(len(features.class_names) + 1, -1, np.int32)
  for label, name in enumerate(features.class_names):
    wanted = name if class_map is None else class_map.get(name)
    if class_map is not None and wanted is not None and wanted not in number:
      raise errors.unknown('class in the map', wanted, names)
    new[label] = number.get(wanted, -1)
  # A label of -1 meets the last entry.
  return new[features.labels]


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
    metrics: of `Shift.run`.
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
