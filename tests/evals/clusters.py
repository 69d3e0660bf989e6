"""Features in round clusters, one per class."""

import numpy as np

from jaxssl.evals.features import Features


def make_clusters(seed, rows, dim=8, classes=3, noise=1.0):
  centres = np.random.default_rng(7).normal(size=(classes, dim))
  random = np.random.default_rng(seed)
  labels = random.integers(classes, size=rows).astype(np.int32)
  features = centres[labels] + noise * random.normal(size=(rows, dim))
  return Features(features.astype(np.float32), labels)
