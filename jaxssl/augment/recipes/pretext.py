"""One view, for tasks made of the picture itself."""

import functools

from jaxssl.augment import color, geometry
from jaxssl.augment.channel_statistics import IMAGENET_MEAN, IMAGENET_STD
from jaxssl.augment.crop_spec import CropSpec, Scale
from jaxssl.augment.view import Augment, View


def patches(
  *, size: int = 255, scale: Scale = (0.4, 1.0), gray_prob: float = 0.0
) -> Augment:
  """One square view for tasks that cut patches out of it: crop and gray.

  The box is a square, so nothing is stretched. No flip: left and right are
  part of what such tasks ask for.

  Deviation: the authors' crops have one size in a picture scaled to 256 pixels
  (jigsaw) or to a random number of pixels (relative patch location); here the
  size of the box is random.

  Source: Noroozi and Favaro 2016 (arXiv 1603.09246), section 4: 30 % of the
  images gray; Doersch et al. 2015 (arXiv 1505.05192): none.

  Args:
    size: side of the view.
    scale: share of the image's area in a crop.
    gray_prob: probability to turn the view gray.

  Returns:
    An `Augment` with one view, ImageNet's mean and deviation.
  """
  view = View(
    crop=CropSpec(size=size, scale=scale, ratio=(1.0, 1.0)),
    ops=(functools.partial(color.random_gray, prob=gray_prob),),
  )
  return Augment(views=(view,), mean=IMAGENET_MEAN, std=IMAGENET_STD)


def colorization(*, size: int = 176, scale: Scale = (0.3, 1.0)) -> Augment:
  """Colorization: a square crop and flip; RGB stays in [0, 1].

  Deviation: the authors' crops have one size, 176 pixels of pictures that were
  scaled to 256.

  Source: Zhang et al. 2016 (arXiv 1603.08511); the training network of
  richzhang/colorization.

  Args:
    size: side of the view.
    scale: share of the image's area in a crop.

  Returns:
    An `Augment` with one view, without mean and deviation.
  """
  view = View(
    crop=CropSpec(size=size, scale=scale, ratio=(1.0, 1.0)),
    ops=(geometry.random_flip_left_right,),
  )
  return Augment(views=(view,))
