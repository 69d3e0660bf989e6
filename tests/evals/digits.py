"""The digits of scikit-learn as features of two splits."""

import numpy as np
from sklearn.datasets import load_digits

from jaxssl.evals.features import Features


def split_digits() -> tuple[Features, Features]:
  images, labels = load_digits(return_X_y=True)
  order = np.random.default_rng(0).permutation(len(labels))
  images, labels = images[order].astype(np.float32), labels[order]
  labels = labels.astype(np.int32)
  return (
    Features(images[:900], labels[:900]),
    Features(images[900:], labels[900:]),
  )
