"""The numbers behind the severities 1 to 5, by the size of the images.

From the programs that made CIFAR-10-C (32 pixels), Tiny ImageNet-C (64) and
ImageNet-C (224): hendrycks/robustness, `make_cifar_c.py`,
`make_tinyimagenet_c.py` and `imagenet_c/corruptions.py`. What a number means
stands with the function of its kind. Lengths are in pixels, but those of
`elastic_transform` are shares of the side; ImageNet-C's are shares of 244.
"""

import math

from jaxssl import errors

_Table = dict[str, tuple[tuple[float, ...], ...]]
_WIDE = 244 / 224

_CIFAR_10_C: _Table = {
  'gaussian_noise': ((0.04,), (0.06,), (0.08,), (0.09,), (0.1,)),
  'shot_noise': ((500,), (250,), (100,), (75,), (50,)),
  'impulse_noise': ((0.01,), (0.02,), (0.03,), (0.05,), (0.07,)),
  'defocus_blur': ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)),
  'glass_blur': (
    *((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1)),
    *((0.25, 1, 2), (0.4, 1, 2)),
  ),
  'motion_blur': ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)),
  'zoom_blur': (
    *((1.06, 0.01), (1.11, 0.01), (1.16, 0.01)),
    *((1.21, 0.01), (1.26, 0.01)),
  ),
  'snow': (
    (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
    (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
    (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
    (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
    (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
  ),
  'fog': ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)),
  'brightness': ((0.05,), (0.1,), (0.15,), (0.2,), (0.3,)),
  'contrast': ((0.75,), (0.5,), (0.4,), (0.3,), (0.15,)),
  'elastic_transform': (
    *((0, 0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06)),
    *((0.1, 0.04, 0.05), (0.1, 0.03, 0.03)),
  ),
  'pixelate': ((0.95,), (0.9,), (0.85,), (0.75,), (0.65,)),
  'jpeg_compression': ((80,), (65,), (58,), (50,), (40,)),
}
_TINY_IMAGENET_C: _Table = {
  'gaussian_noise': ((0.04,), (0.08,), (0.12,), (0.15,), (0.18,)),
  'shot_noise': ((250,), (100,), (50,), (30,), (15,)),
  'impulse_noise': ((0.01,), (0.02,), (0.05,), (0.08,), (0.14,)),
  'defocus_blur': ((0.5, 0.6), (1, 0.1), (1.5, 0.1), (2.5, 0.01), (3, 0.1)),
  'glass_blur': (
    *((0.1, 1, 1), (0.5, 1, 1), (0.6, 1, 2)),
    *((0.7, 2, 1), (0.9, 2, 2)),
  ),
  'motion_blur': ((10, 1), (10, 1.5), (10, 2), (10, 2.5), (12, 3)),
  'zoom_blur': _CIFAR_10_C['zoom_blur'],
  'snow': (
    (0.1, 0.2, 1, 0.6, 8, 3, 0.8),
    (0.1, 0.2, 1, 0.5, 10, 4, 0.8),
    (0.15, 0.3, 1.75, 0.55, 10, 4, 0.7),
    (0.25, 0.3, 2.25, 0.6, 12, 6, 0.65),
    (0.3, 0.3, 1.25, 0.65, 14, 12, 0.6),
  ),
  'fog': ((0.4, 3), (0.7, 3), (1, 2.5), (1.5, 2), (2, 1.75)),
  'brightness': ((0.1,), (0.2,), (0.3,), (0.4,), (0.5,)),
  'contrast': ((0.4,), (0.3,), (0.2,), (0.1,), (0.05,)),
  'elastic_transform': (
    *((0, 0, 0.08), (0.05, 0.3, 0.06), (0.1, 0.08, 0.06)),
    *((0.1, 0.03, 0.03), (0.16, 0.03, 0.02)),
  ),
  'pixelate': ((0.9,), (0.8,), (0.7,), (0.6,), (0.5,)),
  'jpeg_compression': ((65,), (58,), (50,), (40,), (25,)),
}
_IMAGENET_C: _Table = {
  'gaussian_noise': ((0.08,), (0.12,), (0.18,), (0.26,), (0.38,)),
  'shot_noise': ((60,), (25,), (12,), (5,), (3,)),
  'impulse_noise': ((0.03,), (0.06,), (0.09,), (0.17,), (0.27,)),
  'defocus_blur': ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)),
  'glass_blur': (
    *((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3)),
    *((1.1, 3, 2), (1.5, 4, 2)),
  ),
  'motion_blur': ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15)),
  'zoom_blur': (
    *((1.11, 0.01), (1.16, 0.01), (1.21, 0.02)),
    *((1.26, 0.02), (1.31, 0.03)),
  ),
  'snow': (
    (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
    (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
    (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
    (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
    (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
  ),
  'fog': ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4)),
  'brightness': ((0.1,), (0.2,), (0.3,), (0.4,), (0.5,)),
  'contrast': ((0.4,), (0.3,), (0.2,), (0.1,), (0.05,)),
  'elastic_transform': (
    (2 * _WIDE, 0.7 * _WIDE, 0.1 * _WIDE),
    (2 * _WIDE, 0.08 * _WIDE, 0.2 * _WIDE),
    (0.05 * _WIDE, 0.01 * _WIDE, 0.02 * _WIDE),
    (0.07 * _WIDE, 0.01 * _WIDE, 0.02 * _WIDE),
    (0.12 * _WIDE, 0.01 * _WIDE, 0.02 * _WIDE),
  ),
  'pixelate': ((0.6,), (0.5,), (0.4,), (0.3,), (0.25,)),
  'jpeg_compression': ((25,), (18,), (15,), (10,), (7,)),
}
# Side of the images in pixels -> numbers.
PUBLISHED = {32: _CIFAR_10_C, 64: _TINY_IMAGENET_C, 224: _IMAGENET_C}
SEVERITIES = (1, 2, 3, 4, 5)


def published_size(size: int) -> int:
  """Returns the published side that is nearest to a side, as a ratio."""
  return min(PUBLISHED, key=lambda side: abs(math.log(side / size)))


def numbers(kind: str, severity: int, *, size: int) -> tuple[float, ...]:
  """Returns the numbers of a kind, those of `published_size(size)`.

  Args:
    kind: name in the tables.
    severity: 1 to 5.
    size: shorter side of the images in pixels.

  Raises:
    jaxssl.errors.UserError: if there is no such severity.
  """
  if severity not in SEVERITIES:
    raise errors.UserError(f'severity is {severity}; it must be 1 to 5')
  return PUBLISHED[published_size(size)][kind][severity - 1]
