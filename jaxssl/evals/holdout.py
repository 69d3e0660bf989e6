"""A validation split of the training features, to choose settings on.

What is chosen on the test labels is no longer measured by them.
"""

import numpy as np

from jaxssl import errors
from jaxssl.evals.features import Features


def stratified(
  data: Features, *, share: float, seed: int
) -> tuple[Features, Features]:
  """Splits labelled features, each class in the same proportion.

  Of the n_c rows of class c, max(1, round(share · n_c)) are held out; a class
  with a single row is not held out.

  Args:
    data: features, all labels known.
    share: part to hold out, in (0, 1).
    seed: seed of the choice; the same rows on every machine.

  Returns:
    `(fit, validation)`, each in the order of `data`.

  Raises:
    jaxssl.errors.UserError: if no class has two rows.
  """
  held_out = stratified_rows(data.labels, share=share, seed=seed)
  return _take(data, ~held_out), _take(data, held_out)


def stratified_rows(
  labels: np.ndarray, *, share: float, seed: int
) -> np.ndarray:
  """Returns which rows to hold out, bool [n]; see `stratified`.

  Args:
    labels: int [n], all known.
    share: part to hold out, in (0, 1).
    seed: seed of the choice.

  Raises:
    jaxssl.errors.UserError: if no class has two rows.
  """
  random = np.random.default_rng(seed)
  held_out = np.zeros(len(labels), bool)
  for label in np.unique(labels):
    rows = random.permutation(np.flatnonzero(labels == label))
    count = max(1, round(share * len(rows))) if len(rows) > 1 else 0
    held_out[rows[: min(count, len(rows) - 1)]] = True
  if not held_out.any():
    raise errors.UserError(
      'choosing a setting on held-out rows needs a class with two or more '
      'labelled training images'
    )
  return held_out


def _take(data: Features, rows: np.ndarray) -> Features:
  return Features(data.features[rows], data.labels[rows], data.class_names)
