"""What Pillow's resizing of random crops costs on this machine."""

from collections.abc import Sequence
import math
import time

import numpy as np

from jaxssl.augment.crop_spec import CropSpec
from jaxssl.data import crop

_REPEATS = 5


def seconds_a_picture(
  crops: Sequence[CropSpec], stored: tuple[float, float]
) -> float:
  """Returns the processor seconds that Pillow needs for a picture's crops.

  Timed with squares of the mean area that a crop is cut from; the best of a few
  times, as other work on the machine can only add to it.

  Args:
    crops: of a picture.
    stored: height and width of the picture.
  """
  draws = np.random.default_rng(0)
  boxes = []
  for spec in crops:
    side = math.sqrt(sum(spec.scale) / 2 * math.prod(stored))
    # No box is larger than the picture.
    side = max(round(min(side, *stored)), 1)
    boxes.append(draws.integers(256, size=(side, side, 3), dtype=np.uint8))

  def once() -> float:
    start = time.thread_time()
    for spec, box in zip(crops, boxes, strict=True):
      crop.resize(box, spec.size, interpolation=spec.interpolation)
    return time.thread_time() - start

  return min(once() for _ in range(_REPEATS))
