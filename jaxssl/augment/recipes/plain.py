"""Crops and flips, or nothing at all."""

from jaxssl.augment import geometry
from jaxssl.augment.channel_statistics import IMAGENET_MEAN, IMAGENET_STD
from jaxssl.augment.crop_spec import CropSpec, Scale
from jaxssl.augment.view import Augment, View


def crop_flip(*, size: int = 224, scale: Scale = (0.08, 1.0)) -> Augment:
  """One view: random resized crop and flip, for linear probes and supervision.

  Source: the training transform of the linear protocols, torchvision's
  `RandomResizedCrop` and `RandomHorizontalFlip`.

  Args:
    size: side of the view.
    scale: share of the image's area in a crop.

  Returns:
    An `Augment` with one view, ImageNet's mean and deviation.
  """
  view = View(
    crop=CropSpec(size=size, scale=scale),
    ops=(geometry.random_flip_left_right,),
  )
  return Augment(views=(view,), mean=IMAGENET_MEAN, std=IMAGENET_STD)


def none(*, size: int = 224, num_views: int = 1) -> Augment:
  """Nothing random: the largest central square, resized.

  Args:
    size: side of the views.
    num_views: how many, all the same.

  Returns:
    An `Augment` without mean and deviation.
  """
  view = View(crop=CropSpec(size=size, scale=(1.0, 1.0), ratio=(1.0, 1.0)))
  return Augment(views=(view,) * num_views)
