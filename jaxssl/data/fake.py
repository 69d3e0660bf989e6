"""Batches of noise, to time everything but the input."""

from collections.abc import Iterator
from typing import Any

import numpy as np


def fake_batches(
  *, batch_size: int, image_size: int, views: int = 0, seed: int = 0
) -> Iterator[dict[str, Any]]:
  """Yields the same batch of uniform noise for ever.

  Args:
    batch_size: rows b.
    image_size: side S.
    views: number of host crops; 0 for whole pictures.
    seed: seed of the noise.

  Yields:
    `image` uint8 [b, S, S, 3], or `crops`, a tuple of them; `label` int32 [b],
    all -1; `index` int64 [b].
  """
  noise = np.random.default_rng(seed)
  shape = (batch_size, image_size, image_size, 3)
  batch: dict[str, Any] = {
    'label': np.full(batch_size, -1, np.int32),
    'index': np.arange(batch_size),
  }
  pictures = tuple(
    noise.integers(0, 256, shape, np.uint8) for _ in range(max(1, views))
  )
  batch |= {'crops': pictures} if views else {'image': pictures[0]}
  while True:
    yield dict(batch)
