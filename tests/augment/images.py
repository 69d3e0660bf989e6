"""One small picture with what colour code gets wrong: grays, extremes."""

import numpy as np


def picture(height: int = 40, width: int = 33, seed: int = 0) -> np.ndarray:
  """Returns float32 [height, width, 3] in [0, 1]: smooth, noisy, flat rows."""
  rng = np.random.default_rng(seed)
  y, x = np.mgrid[0:height, 0:width] / max(height, width)
  waves = [np.sin(9 * x + k) * np.cos(7 * y - k) for k in range(3)]
  image = 0.5 + 0.4 * np.stack(waves, axis=-1)
  image[:4] = rng.random((4, width, 3))
  image[4] = 0.0
  image[5] = 1.0
  image[6] = 0.5
  image[7] = rng.integers(0, 2, (width, 3))
  return image.astype(np.float32)


def batch(size: int = 16, rows: int = 8, seed: int = 0) -> np.ndarray:
  """Returns different uint8 images [rows, size, size, 3]."""
  rng = np.random.default_rng(seed)
  return rng.integers(0, 256, (rows, size, size, 3), np.uint8)
