"""Accuracy under shift beyond what accuracy without shift explains.

Taori et al. 2020 (arXiv:2007.00644), section 3.
"""

from collections.abc import Sequence

import numpy as np
from scipy import special

from jaxssl import errors


def effective_robustness(
  accuracy: float,
  shifted: float,
  *,
  baseline: Sequence[float],
  baseline_shifted: Sequence[float],
) -> float:
  """Returns ρ = shifted - β(accuracy).

  β(x) = σ(a logit(x) + b), where a and b are the least-squares line of the
  baseline models, logit(shifted) over logit(accuracy).

  Args:
    accuracy: accuracy of the model without shift, strictly between 0 and 1.
    shifted: accuracy of the model on the shifted set, in [0, 1].
    baseline: accuracies without shift of models trained in the usual way,
      strictly between 0 and 1, at least two different ones.
    baseline_shifted: theirs on the shifted set.

  Raises:
    jaxssl.errors.UserError: if an accuracy that a logit is taken of is not
      strictly between 0 and 1, or the baseline gives no line.
  """
  x, y = np.asarray(baseline, float), np.asarray(baseline_shifted, float)
  if x.ndim != 1 or x.shape != y.shape or len(np.unique(x)) < 2:
    raise errors.UserError(
      'a baseline needs two or more models of different accuracy, each with '
      f'its accuracy on the shifted set; got {len(x)} and {len(y)} numbers'
    )
  for value in (*x, *y, accuracy):
    if not 0 < value < 1:
      raise errors.UserError(
        f'accuracies are fractions strictly between 0 and 1, got {value}'
      )
  slope, intercept = np.polyfit(special.logit(x), special.logit(y), 1)
  expected = special.expit(slope * special.logit(accuracy) + intercept)
  return float(shifted - expected)
