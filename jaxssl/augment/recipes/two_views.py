"""Two views of every image, for contrastive methods and their kin."""

import functools

from jaxssl.augment import blur, color, geometry, jitter
from jaxssl.augment.channel_statistics import IMAGENET_MEAN, IMAGENET_STD
from jaxssl.augment.crop_spec import CropSpec, Scale
from jaxssl.augment.view import Augment, Op, View


def simclr(
  *,
  size: int = 224,
  strength: float = 1.0,
  blur_prob: float = 0.5,
  scale: Scale = (0.08, 1.0),
  additive_brightness: bool = False,
) -> Augment:
  """SimCLR on ImageNet: crop, flip, colour jitter, gray, blur; twice.

  Jitter of 0.8 s brightness, contrast and saturation and 0.2 s hue with
  probability 0.8, TF's arithmetic; gray 0.2; blur with σ ~ U(0.1, 2) over
  2 int(size // 10 / 2) + 1 pixels, zero border. No mean and deviation.

  Deviations: the authors draw one σ for a whole batch and view; here each row
  has its own. Crops are antialiased (see `geometry.random_resized_crop`).

  Source: Chen et al. 2020 (arXiv 2002.05709), appendix A; data_util.py of
  google-research/simclr (tf2).

  Args:
    size: side of the views.
    strength: s, strength of the colour jitter.
    blur_prob: probability of the blur.
    scale: share of the image's area in a crop.
    additive_brightness: the authors' brightness 'simclrv1' instead of
      'simclrv2', which multiplies.

  Returns:
    An `Augment` with two equal views.
  """
  view = View(
    crop=CropSpec(size=size, scale=scale, rule='tf', interpolation='bicubic'),
    ops=(
      geometry.random_flip_left_right,
      functools.partial(
        jitter.random_color_jitter,
        brightness=0.8 * strength,
        contrast=0.8 * strength,
        saturation=0.8 * strength,
        hue=0.2 * strength,
        prob=0.8,
        kind='tf_additive' if additive_brightness else 'tf',
      ),
      color.random_gray,
      *_tenth_blur(size, blur_prob),
    ),
  )
  return Augment(views=(view, view))


def simclr_cifar(
  *, size: int = 32, strength: float = 0.5, scale: Scale = (0.08, 1.0)
) -> Augment:
  """SimCLR on CIFAR-10: half the jitter strength, no blur.

  Source: README of google-research/simclr (`color_jitter_strength=0.5`,
  `use_blur=False`), appendix B.9 of arXiv 2002.05709.

  Args:
    size: side of the views.
    strength: s, strength of the colour jitter.
    scale: share of the image's area in a crop.

  Returns:
    An `Augment` with two equal views.
  """
  return simclr(size=size, strength=strength, blur_prob=0.0, scale=scale)


def byol(
  *, size: int = 224, scale: Scale = (0.08, 1.0), use_blur: bool = True
) -> Augment:
  """BYOL: two views that differ in blur (1.0, 0.1) and solarize (0, 0.2).

  Crop, flip, jitter (0.4, 0.4, 0.2, 0.1) with probability 0.8 and additive
  brightness, gray 0.2, blur σ ~ U(0.1, 2) over about size / 10 pixels,
  solarize at 0.5, ImageNet's mean and deviation. TF's colour arithmetic.

  Deviation: the authors draw a crop once and clamp it to the image instead of
  drawing again; with scale (0.08, 1) that concerns the largest crops only.

  Source: Grill et al. 2020 (arXiv 2006.07733), appendix B; augmentations.py
  in byol of google-deepmind/deepmind-research.

  Args:
    size: side of the views.
    scale: share of the image's area in a crop.
    use_blur: False for small images, which the blur would erase.

  Returns:
    An `Augment` with two different views.
  """
  crop = CropSpec(size=size, scale=scale, interpolation='bicubic')
  shared = (
    geometry.random_flip_left_right,
    functools.partial(
      jitter.random_color_jitter,
      brightness=0.4,
      contrast=0.4,
      saturation=0.2,
      hue=0.1,
      prob=0.8,
      kind='tf_additive',
    ),
    color.random_gray,
  )
  often, seldom = (
    _tenth_blur(size, prob) if use_blur else () for prob in (1.0, 0.1)
  )
  first = View(crop=crop, ops=(*shared, *often))
  second = View(crop=crop, ops=(*shared, *seldom, color.random_solarize))
  return Augment(views=(first, second), mean=IMAGENET_MEAN, std=IMAGENET_STD)


def moco_v1(*, size: int = 224, scale: Scale = (0.2, 1.0)) -> Augment:
  """MoCo v1: crop, gray 0.2, jitter (0.4, 0.4, 0.4, 0.4) always, flip.

  Source: He et al. 2020 (arXiv 1911.05722); main_moco.py of
  facebookresearch/moco without `--aug-plus`. torchvision's arithmetic, without
  its rounding to 8 bits after every operation.

  Args:
    size: side of the views.
    scale: share of the image's area in a crop.

  Returns:
    An `Augment` with two equal views, ImageNet's mean and deviation.
  """
  view = View(
    crop=CropSpec(size=size, scale=scale),
    ops=(
      color.random_gray,
      functools.partial(
        jitter.random_color_jitter,
        brightness=0.4,
        contrast=0.4,
        saturation=0.4,
        hue=0.4,
      ),
      geometry.random_flip_left_right,
    ),
  )
  return Augment(views=(view, view), mean=IMAGENET_MEAN, std=IMAGENET_STD)


def moco_v2(
  *, size: int = 224, scale: Scale = (0.2, 1.0), blur_prob: float = 0.5
) -> Augment:
  """MoCo v2: crop, jitter (0.4, 0.4, 0.4, 0.1) 0.8, gray 0.2, blur, flip.

  Deviation: a true Gaussian, cut off at 3 σ of the largest σ, where the
  authors call Pillow's `GaussianBlur`, three box blurs that resemble one.

  Source: Chen et al. 2020 (arXiv 2003.04297); main_moco.py of
  facebookresearch/moco with `--aug-plus`.

  Args:
    size: side of the views.
    scale: share of the image's area in a crop.
    blur_prob: probability of the blur; 0 for small images.

  Returns:
    An `Augment` with two equal views, ImageNet's mean and deviation.
  """
  blurs = (
    # Three times the largest deviation; Pillow repeats the rim.
    functools.partial(
      blur.random_gaussian_blur, radius=6, prob=blur_prob, border='edge'
    ),
  )
  view = View(
    crop=CropSpec(size=size, scale=scale),
    ops=(
      functools.partial(
        jitter.random_color_jitter,
        brightness=0.4,
        contrast=0.4,
        saturation=0.4,
        hue=0.1,
        prob=0.8,
      ),
      color.random_gray,
      *(blurs if blur_prob > 0 else ()),
      geometry.random_flip_left_right,
    ),
  )
  return Augment(views=(view, view), mean=IMAGENET_MEAN, std=IMAGENET_STD)


def _tenth_blur(size: int, prob: float) -> tuple[Op, ...]:
  """Returns the blur of SimCLR and BYOL, or nothing if it never happens."""
  # A kernel of a tenth of the side, made odd.
  radius = size // 10 // 2
  if prob == 0 or radius == 0:
    return ()
  return (
    functools.partial(blur.random_gaussian_blur, radius=radius, prob=prob),
  )
