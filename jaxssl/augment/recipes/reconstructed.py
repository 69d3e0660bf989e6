"""One view, whose pixels or tokens are to be found again."""

import dataclasses
import functools

from jaxssl.augment import geometry, jitter
from jaxssl.augment.channel_statistics import IMAGENET_MEAN, IMAGENET_STD
from jaxssl.augment.crop_spec import CropSpec, Scale
from jaxssl.augment.view import Augment, View


def mae(*, size: int = 224, scale: Scale = (0.2, 1.0)) -> Augment:
  """MAE: random resized crop, bicubic, and flip; no colour.

  Source: He et al. 2021 (arXiv 2111.06377); main_pretrain.py of
  facebookresearch/mae.

  Args:
    size: side of the view.
    scale: share of the image's area in a crop.

  Returns:
    An `Augment` with one view, ImageNet's mean and deviation.
  """
  view = View(
    crop=CropSpec(size=size, scale=scale, interpolation='bicubic'),
    ops=(geometry.random_flip_left_right,),
  )
  return Augment(views=(view,), mean=IMAGENET_MEAN, std=IMAGENET_STD)


def ijepa(*, size: int = 224, scale: Scale = (0.3, 1.0)) -> Augment:
  """I-JEPA: random resized crop, and nothing else.

  Source: Assran et al. 2023 (arXiv 2301.08243); configs/in1k_vith14_ep300.yaml
  and src/transforms.py of facebookresearch/ijepa.

  Args:
    size: side of the view.
    scale: share of the image's area in a crop.

  Returns:
    An `Augment` with one view, ImageNet's mean and deviation.
  """
  view = View(crop=CropSpec(size=size, scale=scale))
  return Augment(views=(view,), mean=IMAGENET_MEAN, std=IMAGENET_STD)


def distillation(*, size: int = 224, scale: Scale = (0.4, 1.0)) -> Augment:
  """A crop and flip that keep the pixels, for student and teacher.

  Both see the same view, each with its own mean and deviation. The colours of
  the teacher's own pictures stay. The papers on agglomerative models say no
  more than that the view is shared; 0.4 is the least share of a picture in the
  large crops of DINO.

  Args:
    size: side of the view.
    scale: share of the image's area in a crop.

  Returns:
    An `Augment` with one view, ImageNet's mean and deviation.
  """
  return dataclasses.replace(mae(size=size, scale=scale), keep_pixels=True)


def beit(*, size: int = 224, scale: Scale = (0.08, 1.0)) -> Augment:
  """BEiT: crop, jitter (0.4, 0.4, 0.4) always, flip; keeps the pixels.

  The tokenizer sees what the encoder sees, so batches get `pixels` too, the
  view before normalisation.

  Deviation: the authors jitter the picture before they crop it, so that
  contrast is relative to the mean of the whole picture.

  Source: Bao et al. 2021 (arXiv 2106.08254); `DataAugmentationForBEiT` in
  beit/datasets.py of microsoft/unilm, with
  `--imagenet_default_mean_and_std` as in its README for ImageNet-1k.

  Args:
    size: side of the view.
    scale: share of the image's area in a crop.

  Returns:
    An `Augment` with one view, ImageNet's mean and deviation.
  """
  view = View(
    crop=CropSpec(size=size, scale=scale, interpolation='bicubic'),
    ops=(
      functools.partial(
        jitter.random_color_jitter,
        brightness=0.4,
        contrast=0.4,
        saturation=0.4,
        hue=0.0,
      ),
      geometry.random_flip_left_right,
    ),
  )
  return Augment(
    views=(view,), mean=IMAGENET_MEAN, std=IMAGENET_STD, keep_pixels=True
  )


def dvae(*, size: int = 256, scale: Scale = (0.44, 0.79)) -> Augment:
  """DALL-E's tokenizer: a square crop and flip; pixels stay in [0, 1].

  Source: Ramesh et al. 2021 (arXiv 2102.12092), appendix A.2: the side of the
  crop is 8/12 to 8/9 of a square cut-out of the picture.

  Deviation: the area of the box is uniform, not its side.

  Args:
    size: side of the view; divisible by 8.
    scale: share of the image's area in a crop.

  Returns:
    An `Augment` with one view, without mean and deviation.
  """
  view = View(
    crop=CropSpec(size=size, scale=scale, ratio=(1.0, 1.0)),
    ops=(geometry.random_flip_left_right,),
  )
  return Augment(views=(view,))
