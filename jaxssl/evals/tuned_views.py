"""What fine-tuning does to its training images."""

from jaxssl.augment import geometry
from jaxssl.augment.bands import Bands
from jaxssl.augment.crop_spec import CropSpec
from jaxssl.augment.erase import Erase
from jaxssl.augment.mix import Mix
from jaxssl.augment.preprocessing import Channels
from jaxssl.augment.view import Augment, View
from jaxssl.train.state import Augment as AugmentFn


def make_augment(
  *,
  size: int,
  mean: Channels,
  std: Channels,
  bands: Bands | None = None,
  erase_prob: float,
  mixup: float,
  cutmix: float,
) -> tuple[Augment, AugmentFn]:
  """Returns the crop and flip of the training images, and all that is done.

  Args:
    size: side of the images in pixels.
    mean: value subtracted from each channel.
    std: value by which each channel is then divided.
    bands: how pictures are read; None: as 8-bit RGB.
    erase_prob: probability of `augment.erase.Erase`; 0: none.
    mixup: α of `augment.mix.Mix`; 0: none.
    cutmix: α of `augment.mix.Mix`; 0: none.

  Raises:
    jaxssl.errors.UserError: if α is negative.
  """
  view = View(
    crop=CropSpec(size=size, interpolation='bicubic'),
    ops=(geometry.random_flip_left_right,),
  )
  plain = Augment(views=(view,), mean=mean, std=std, bands=bands)
  whole: AugmentFn = plain
  if erase_prob:
    whole = Erase(augment=whole, prob=erase_prob)
  if mixup or cutmix:
    whole = Mix(augment=whole, mixup=mixup, cutmix=cutmix)
  return plain, whole
