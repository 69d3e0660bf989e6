"""The augmentations of published methods, as functions that return `Augment`.

Every recipe takes `size`, the side of the views in pixels, and what a user of
the method would change. `RECIPES` is the table of their names.
"""

from collections.abc import Callable
import dataclasses
import functools

from jaxssl.augment import blur, color, geometry, jitter
from jaxssl.augment.crop_spec import CropSpec
from jaxssl.augment.view import Augment, View

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

Scale = tuple[float, float]


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


def byol(*, size: int = 224, scale: Scale = (0.08, 1.0)) -> Augment:
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
  first = View(crop=crop, ops=(*shared, *_tenth_blur(size, 1.0)))
  second = View(
    crop=crop,
    ops=(*shared, *_tenth_blur(size, 0.1), color.random_solarize),
  )
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

  def view(side: int, area: Scale, blur_prob: float, *last: Callable) -> View:
    blurred = functools.partial(
      blur.random_gaussian_blur, radius=6, prob=blur_prob, border='edge'
    )
    return View(
      crop=CropSpec(size=side, scale=area, interpolation='bicubic'),
      ops=(
        geometry.random_flip_left_right,
        functools.partial(
          jitter.random_color_jitter,
          brightness=0.4,
          contrast=0.4,
          saturation=0.2,
          hue=0.1,
          prob=0.8,
        ),
        color.random_gray,
        *((blurred,) if use_blur else ()),
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


def _tenth_blur(size: int, prob: float) -> tuple:
  """Returns the blur of SimCLR and BYOL, or nothing if it never happens."""
  radius = size // 10 // 2
  if prob == 0 or radius == 0:
    return ()
  return (
    functools.partial(blur.random_gaussian_blur, radius=radius, prob=prob),
  )


RECIPES: dict[str, Callable[..., Augment]] = {
  'simclr': simclr,
  'simclr_cifar': simclr_cifar,
  'byol': byol,
  'moco_v1': moco_v1,
  'moco_v2': moco_v2,
  'dino': dino,
  'mae': mae,
  'beit': beit,
  'dvae': dvae,
  'patches': patches,
  'colorization': colorization,
  'crop_flip': crop_flip,
  'clip': clip,
  'siglip': siglip,
  'none': none,
}
