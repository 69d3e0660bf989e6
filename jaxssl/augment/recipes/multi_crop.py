"""Views of two sizes."""

import dataclasses
import functools

from jaxssl.augment import blur, color, geometry, jitter
from jaxssl.augment.channel_statistics import (
  IMAGENET_MEAN,
  IMAGENET_STD,
)
from jaxssl.augment.crop_spec import CropSpec, Scale
from jaxssl.augment.view import Augment, Op, View

_NUM_GLOBAL = 2


def dino(
  *,
  size: int = 224,
  local_size: int = 96,
  num_local: int = 8,
  scale: Scale = (0.4, 1.0),
  local_scale: Scale = (0.05, 0.4),
  use_blur: bool = True,
) -> Augment:
  """DINO's multi-crop: two global views and any number of small local ones.

  Crop, flip, jitter (0.4, 0.4, 0.2, 0.1) 0.8, gray 0.2, blur σ ~ U(0.1, 2) with
  probability 1 and 0.1 (globals) and 0.5 (locals), solarize 0.2 (second
  global), ImageNet's mean and deviation. torchvision's arithmetic.

  Deviations: the true Gaussian of `moco_v2`; no rounding to 8 bits between
  operations.

  Source: Caron et al. 2021 (arXiv 2104.14294), appendix; `DataAugmentationDINO`
  of facebookresearch/dino.

  Args:
    size: side of the global views.
    local_size: side of the local views.
    num_local: how many local views.
    scale: share of the image's area in a global crop.
    local_scale: the same of a local crop.
    use_blur: False for small images, which the blur would erase.

  Returns:
    An `Augment` with 2 + `num_local` views, the globals first.
  """

  def view(side: int, area: Scale, blur_prob: float, *last: Op) -> View:
    return View(
      crop=CropSpec(size=side, scale=area, interpolation='bicubic'),
      ops=(
        *_colors(0.4, 0.4, 0.2, 0.1),
        *(_blur(blur_prob) if use_blur else ()),
        *last,
      ),
    )

  first = view(size, scale, 1.0)
  second = view(size, scale, 0.1, color.random_solarize)
  local = view(local_size, local_scale, 0.5)
  return Augment(
    views=(first, second, *(local,) * num_local),
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
  )


def dinov3(
  *,
  size: int = 256,
  local_size: int = 112,
  num_local: int = 8,
  scale: Scale = (0.32, 1.0),
  local_scale: Scale = (0.05, 0.32),
  use_blur: bool = True,
  gram_size: int | None = None,
) -> Augment:
  """DINOv3's multi-crop for Gram anchoring: DINO's, with crops kept larger.

  The two global crops are `gram_size` pixels wide. They are kept as they are
  for the Gram teacher (`whole`), and made smaller before the colours change.
  Nothing is flipped, as in the authors' stages; the rest is `dino`.

  Source: Siméoni et al. 2025 (arXiv 2508.10104); `DataAugmentationDINO` of
  facebookresearch/dinov3 with gram_teacher_no_distortions, and its file
  dinov3_vit7b16_gram_anchor.yaml.

  Args:
    size: side of the global views.
    local_size: side of the local views.
    num_local: how many local views.
    scale: share of the image's area in a global crop.
    local_scale: the same of a local crop.
    use_blur: False for small images, which the blur would erase.
    gram_size: side of the crops that the Gram teacher sees; None: twice `size`.

  Returns:
    An `Augment` with 2 + `num_local` views, the globals first.
  """
  plain = dino(
    size=size,
    local_size=local_size,
    num_local=num_local,
    scale=scale,
    local_scale=local_scale,
    use_blur=use_blur,
  )
  large = 2 * size if gram_size is None else gram_size
  views = []
  for index, view in enumerate(plain.views):
    # The first flips.
    view = dataclasses.replace(view, ops=view.ops[1:])
    if index < _NUM_GLOBAL:
      crop = dataclasses.replace(view.crop, size=large)
      view = dataclasses.replace(view, crop=crop, size=size)
    views.append(view)
  return dataclasses.replace(plain, views=tuple(views), keep_crops=_NUM_GLOBAL)


def swav(
  *,
  size: int = 224,
  local_size: int = 96,
  num_local: int = 6,
  scale: Scale = (0.14, 1.0),
  local_scale: Scale = (0.05, 0.14),
  use_blur: bool = True,
  strength: float = 1.0,
) -> Augment:
  """SwAV's multi-crop: two global views and any number of small local ones.

  All alike but for the crop: bilinear crop, flip, jitter (0.8, 0.8, 0.8, 0.2)
  0.8, gray 0.2, blur σ ~ U(0.1, 2) 0.5, ImageNet's mean and deviation.
  torchvision's arithmetic.

  Deviations: the true Gaussian of `moco_v2`; no rounding to 8 bits between
  operations; red is divided by 0.229, where the authors' script has 0.228.

  Source: Caron et al. 2020 (arXiv 2006.09882); src/multicropdataset.py of
  facebookresearch/swav.

  Args:
    size: side of the global views.
    local_size: side of the local views.
    num_local: how many local views.
    scale: share of the image's area in a global crop.
    local_scale: the same of a local crop.
    use_blur: False for small images, which the blur would erase.
    strength: factor of the jitter.

  Returns:
    An `Augment` with 2 + `num_local` views, the globals first.
  """
  jitters = (strength * most for most in (0.8, 0.8, 0.8, 0.2))
  ops = (*_colors(*jitters), *(_blur(0.5) if use_blur else ()))
  return _views(
    View(crop=CropSpec(size=size, scale=scale), ops=ops),
    View(crop=CropSpec(size=local_size, scale=local_scale), ops=ops),
    num_local,
  )


def lejepa(
  *,
  size: int = 224,
  local_size: int = 98,
  num_local: int = 6,
  scale: Scale = (0.3, 1.0),
  local_scale: Scale = (0.05, 0.3),
  use_blur: bool = True,
) -> Augment:
  """LeJEPA's multi-crop: two global views and any number of small local ones.

  All alike but for the crop: bilinear crop, flip, jitter (0.4, 0.4, 0.2, 0.1)
  0.8, gray 0.2, blur σ ~ U(0.1, 2) 0.5, solarize 0.2, ImageNet's mean and
  deviation. torchvision's arithmetic. Local views have 98 pixels for patches of
  14; 96 fit patches of 16.

  Deviations: the true Gaussian of `moco_v2`; no rounding to 8 bits between
  operations.

  Source: Balestriero and LeCun 2025 (arXiv 2511.08544); README of
  rbalestr-lab/lejepa.

  Args:
    size: side of the global views.
    local_size: side of the local views.
    num_local: how many local views.
    scale: share of the image's area in a global crop.
    local_scale: the same of a local crop.
    use_blur: False for small images, which the blur would erase.

  Returns:
    An `Augment` with 2 + `num_local` views, the globals first.
  """
  ops = (
    *_colors(0.4, 0.4, 0.2, 0.1),
    *(_blur(0.5) if use_blur else ()),
    color.random_solarize,
  )
  return _views(
    View(crop=CropSpec(size=size, scale=scale), ops=ops),
    View(crop=CropSpec(size=local_size, scale=local_scale), ops=ops),
    num_local,
  )


def msn(
  *,
  size: int = 224,
  local_size: int = 96,
  num_local: int = 10,
  scale: Scale = (0.3, 1.0),
  local_scale: Scale = (0.05, 0.3),
  use_blur: bool = True,
) -> Augment:
  """MSN's views: two large ones, the first the target, and small focal ones.

  All alike but for the crop: bilinear crop, flip, jitter (0.4, 0.4, 0.4, 0.1)
  0.8, gray 0.2, blur σ ~ U(0.1, 2) 0.5, ImageNet's mean and deviation.
  torchvision's arithmetic.

  Deviations: the true Gaussian of `moco_v2`; no rounding to 8 bits between
  operations.

  Source: Assran et al. 2022 (arXiv 2204.07141); src/data_manager.py of
  facebookresearch/msn with the strength 0.5 of its configs/pretrain.

  Args:
    size: side of the large views.
    local_size: side of the focal views.
    num_local: how many focal views.
    scale: share of the image's area in a large crop.
    local_scale: the same of a focal crop.
    use_blur: False for small images, which the blur would erase.

  Returns:
    An `Augment` with 2 + `num_local` views, the large ones first.
  """
  ops = (*_colors(0.4, 0.4, 0.4, 0.1), *(_blur(0.5) if use_blur else ()))
  return _views(
    View(crop=CropSpec(size=size, scale=scale), ops=ops),
    View(crop=CropSpec(size=local_size, scale=local_scale), ops=ops),
    num_local,
  )


def _colors(
  brightness: float, contrast: float, saturation: float, hue: float
) -> tuple[Op, ...]:
  return (
    geometry.random_flip_left_right,
    functools.partial(
      jitter.random_color_jitter,
      brightness=brightness,
      contrast=contrast,
      saturation=saturation,
      hue=hue,
      prob=0.8,
    ),
    color.random_gray,
  )


def _blur(prob: float) -> tuple[Op, ...]:
  return (
    # Three times the largest deviation; Pillow repeats the rim.
    functools.partial(
      blur.random_gaussian_blur, radius=6, prob=prob, border='edge'
    ),
  )


def _views(large: View, small: View, num_local: int) -> Augment:
  return Augment(
    views=(large, large, *(small,) * num_local),
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
  )
