"""One view, beside a text."""

import dataclasses

from jaxssl.augment.channel_statistics import CLIP_MEAN, CLIP_STD
from jaxssl.augment.crop_spec import CropSpec, Scale
from jaxssl.augment.view import Augment, View


def clip(*, size: int = 224, scale: Scale = (0.9, 1.0)) -> Augment:
  """CLIP: one crop, bicubic, hardly smaller than the picture; no flip.

  A flip would contradict texts that say left and right, or show letters.

  Deviation: the authors crop a square at random from the picture resized to
  the crop's side; here, as in open_clip, the box has a share of the area and an
  aspect ratio of 3/4 to 4/3.

  Source: Radford et al. 2021 (arXiv 2103.00020), section 2.5; open_clip's
  `image_transform` for training.

  Args:
    size: side of the view.
    scale: share of the image's area in a crop.

  Returns:
    An `Augment` with one view, CLIP's mean and deviation.
  """
  view = View(crop=CropSpec(size=size, scale=scale, interpolation='bicubic'))
  return Augment(views=(view,), mean=CLIP_MEAN, std=CLIP_STD)


def siglip(*, size: int = 224, scale: Scale = (0.9, 1.0)) -> Augment:
  """SigLIP: the crop of `clip`, in [-1, 1].

  Deviation: the authors resize whole pictures to a square.

  Source: Zhai et al. 2023 (arXiv 2303.15343); configs of
  google-research/big_vision.

  Args:
    size: side of the view.
    scale: share of the image's area in a crop.

  Returns:
    An `Augment` with one view, mean and deviation 0.5.
  """
  half = (0.5, 0.5, 0.5)
  return dataclasses.replace(clip(size=size, scale=scale), mean=half, std=half)
