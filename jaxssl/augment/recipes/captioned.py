"""One view beside a text, and more that stand alone."""

import dataclasses

from jaxssl.augment.channel_statistics import CLIP_MEAN, CLIP_STD
from jaxssl.augment.crop_spec import CropSpec, Scale
from jaxssl.augment.recipes.multi_crop import dino
from jaxssl.augment.view import Augment, View
from jaxssl.fields import Count


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


def siglip2(
  *,
  size: int = 256,
  local_size: int = 96,
  num_local: Count = 8,
  scale: Scale = (0.9, 1.0),
  global_scale: Scale = (0.4, 1.0),
  local_scale: Scale = (0.05, 0.4),
  use_blur: bool = True,
) -> Augment:
  """SigLIP 2: the crop of `siglip`, one large view and small ones.

  The first stands beside the text. The others have DINO's crops, and the
  operations of its local views: flip, jitter (0.4, 0.4, 0.2, 0.1) 0.8, gray
  0.2, blur σ ~ U(0.1, 2) 0.5. torchvision's arithmetic.

  Deviations: as `siglip`. The paper takes these views from SILC, whose shares
  of the area they have; its other operations could not be checked.

  Source: Tschannen et al. 2025 (arXiv 2502.14786), section 2.3; Naeem et al.
  2023 (arXiv 2310.13355).

  Args:
    size: side of the first two views.
    local_size: side of the small views.
    num_local: how many small views.
    scale: share of the image's area in the first crop.
    global_scale: the same of the second crop.
    local_scale: the same of a small one.
    use_blur: False for small images, which the blur would erase.

  Returns:
    An `Augment` with 2 + `num_local` views, mean and deviation 0.5.
  """
  plain = siglip(size=size, scale=scale)
  large, _, *small = dino(
    size=size,
    local_size=local_size,
    num_local=num_local,
    scale=global_scale,
    local_scale=local_scale,
    use_blur=use_blur,
  ).views
  # DINO always blurs its first view, and of one view that would be all.
  teacher = dataclasses.replace(large, ops=small[0].ops)
  return dataclasses.replace(plain, views=(*plain.views, teacher, *small))
