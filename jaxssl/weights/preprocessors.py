"""Rules of preprocessing in the words of transformers, open_clip and timm.

Each library keeps beside its weights how pictures are prepared for them:
transformers in `preprocessor_config.json`, open_clip as `preprocess_cfg` and
timm as `pretrained_cfg`. What such a file leaves out has the value that the
library's own code gives it. Where there is no file, `RELEASED` has the rule
that the authors of the weights publish.
"""

from collections.abc import Mapping
import dataclasses
import math
import re
from typing import Any, cast

from jaxssl.augment.bands import RGB
from jaxssl.augment.channel_statistics import (
  CLIP_MEAN,
  CLIP_STD,
  IMAGENET_MEAN,
  IMAGENET_STD,
)
from jaxssl.augment.preprocessing import Channels, Interpolation, Preprocessing
from jaxssl.errors import UserError, unknown

_HALF: Channels = (0.5, 0.5, 0.5)
_IMAGENET = Preprocessing(
  image_size=224, resize_size=256, mean=IMAGENET_MEAN, std=IMAGENET_STD
)
_CLIP = Preprocessing(
  image_size=224, resize_size=224, mean=CLIP_MEAN, std=CLIP_STD
)
_SQUASHED = Preprocessing(
  image_size=224, resize_size=224, resize='squash', mean=_HALF, std=_HALF
)
RELEASED: dict[str, Preprocessing] = {
  # `_transform` of clip/clip.py, openai/CLIP.
  'clip': _CLIP,
  # `_slpcfg` of open_clip's pretrained.py; big_vision's configs resize whole
  # pictures to a square and map them to [-1, 1].
  'siglip': _SQUASHED,
  # `resolve_data_config` of timm's data/config.py, without a configuration.
  'timm': _IMAGENET,
  # `ViTImageProcessor` of transformers.
  'vit': dataclasses.replace(_SQUASHED, interpolation='bilinear'),
  # `build_transform` of util/datasets.py, facebookresearch/mae.
  'vit_mae': _IMAGENET,
  # `build_transform` of beit/datasets.py, microsoft/unilm.
  'beit': dataclasses.replace(_IMAGENET, mean=_HALF, std=_HALF),
  # `extract_feature_pipeline` of eval_knn.py, facebookresearch/dino.
  'dino': _IMAGENET,
  # `make_classification_eval_transform` of dinov2/data/transforms.py,
  # facebookresearch/dinov2.
  'dinov2': _IMAGENET,
  # `make_transform` of the README, facebookresearch/dinov3, at 224 pixels.
  'dinov3': dataclasses.replace(
    _SQUASHED, interpolation='bilinear', mean=IMAGENET_MEAN, std=IMAGENET_STD
  ),
  # The validation of main_lincls.py, facebookresearch/moco-v3, which leaves
  # the filter to torchvision.
  'moco_v3': dataclasses.replace(_IMAGENET, interpolation='bilinear'),
  # `preprocess` of notebooks/usage.ipynb, openai/DALL-E.
  'dalle': Preprocessing(
    image_size=256, resize_size=256, interpolation='lanczos'
  ),
}
# Pillow's `Resampling`, by which transformers names its filters.
_RESAMPLING: tuple[Interpolation, ...] = (
  'nearest',
  'lanczos',
  'bilinear',
  'bicubic',
  'box',
  'hamming',
)
# What transformers' processors take for a key that the file leaves out
# (`image_processing_*.py`, 5.23; equal in 4).
_VIT: dict[str, Any] = {
  'do_resize': True,
  'size': {'height': 224, 'width': 224},
  'default_to_square': True,
  'resample': 2,
  'do_center_crop': False,
  'crop_size': {'height': 224, 'width': 224},
  'do_rescale': True,
  'rescale_factor': 1 / 255,
  'do_normalize': True,
  'image_mean': _HALF,
  'image_std': _HALF,
}
_CLIP_PROCESSOR = _VIT | {
  'size': {'shortest_edge': 224},
  'default_to_square': False,
  'resample': 3,
  'do_center_crop': True,
  'image_mean': CLIP_MEAN,
  'image_std': CLIP_STD,
}
_PROCESSORS: dict[str, dict[str, Any]] = {
  'ViT': _VIT,
  'CLIP': _CLIP_PROCESSOR,
  'Bit': _CLIP_PROCESSOR,
  'Siglip': _VIT | {'default_to_square': False, 'resample': 3},
  'Beit': _VIT | {'resample': 3},
  'DINOv3ViT': _VIT | {'image_mean': IMAGENET_MEAN, 'image_std': IMAGENET_STD},
  'ConvNext': _VIT
  | {
    'size': {'shortest_edge': 384},
    'default_to_square': False,
    'resample': 3,
    'crop_pct': 224 / 256,
    'image_mean': IMAGENET_MEAN,
    'image_std': IMAGENET_STD,
  },
  'DeiT': _VIT
  | {
    'size': {'height': 256, 'width': 256},
    'resample': 3,
    'do_center_crop': True,
  },
}
# Older files call a processor a feature extractor.
_PROCESSOR_NAME = re.compile(
  r'(\w+?)(ImageProcessor(Fast|Pil)?|FeatureExtractor)'
)
# From this side on, ConvNeXt's processor squashes whole pictures.
_WHOLE = 384
_CROP_MODES = {'center': 'shortest', 'squash': 'squash'}
_RESIZE_MODES = {'shortest': 'shortest', 'squash': 'squash'}


def from_transformers(
  config: Mapping[str, Any], *, processor: str | None = None
) -> Preprocessing:
  """Reads the content of a `preprocessor_config.json`.

  Args:
    config: its content.
    processor: class of the processor where the content names none.

  Raises:
    UserError: for a processor that is not known, or a rule that does not make
      squares by resizing and cutting.
  """
  kind = config.get('feature_extractor_type', processor)
  kind = config.get('image_processor_type', kind)
  match = _PROCESSOR_NAME.fullmatch(str(kind))
  if not match or match[1] not in _PROCESSORS:
    raise unknown(
      'image_processor_type', kind, [f'{n}ImageProcessor' for n in _PROCESSORS]
    )
  values = _PROCESSORS[match[1]] | {
    key: value for key, value in config.items() if value is not None
  }
  if not values['do_resize']:
    raise UserError('do_resize is false: pictures of any size are meant')
  mean, std = _scaled(values)
  rule = _resized(values)
  normal: dict[str, Any] = {'mean': mean, 'std': std}
  if len(mean) != RGB:
    normal['channels'] = len(mean)
  if 'crop_pct' in values:
    return dataclasses.replace(_convnext(rule, values), **normal)
  if values['do_center_crop']:
    size = _square('crop_size', _sides(values['crop_size'], square=True))
    return dataclasses.replace(rule, image_size=size, **normal)
  if rule.resize == 'shortest':
    raise UserError(
      'pictures keep their shape (do_center_crop is false), but encoders take '
      'squares here'
    )
  return dataclasses.replace(rule, **normal)


def to_transformers(rule: Preprocessing) -> dict[str, Any]:
  """Returns the content of a `preprocessor_config.json`, for CLIP's processor.

  Where half a pixel is in question, transformers cuts further to the left and
  above (`offset='floor'`); it cannot be told otherwise.
  """
  size, whole = rule.image_size, rule.resize_size
  square = {'height': whole, 'width': whole}
  return {
    'image_processor_type': 'CLIPImageProcessor',
    'do_resize': True,
    'size': square if rule.resize == 'squash' else {'shortest_edge': whole},
    'resample': _RESAMPLING.index(rule.interpolation),
    'do_center_crop': True,
    'crop_size': {'height': size, 'width': size},
    'do_rescale': True,
    'rescale_factor': 1 / 255,
    'do_normalize': True,
    'image_mean': list(rule.mean),
    'image_std': list(rule.std),
    'do_convert_rgb': rule.num_channels == RGB,
  }


def from_open_clip(
  config: Mapping[str, Any], *, image_size: Any, default: Preprocessing
) -> Preprocessing:
  """Reads the `preprocess_cfg` of an `open_clip_config.json`.

  Args:
    config: its content.
    image_size: image size of the `vision_cfg` beside it.
    default: rule of the model's family, for what it leaves out.

  Raises:
    UserError: for a rule that does not make squares by resizing and cutting.
  """
  given = {key: value for key, value in config.items() if value is not None}
  size = _square('image_size', _sides(image_size, square=True))
  mode = given.get('resize_mode', default.resize)
  if mode not in _RESIZE_MODES:
    raise unknown('resize_mode', mode, _RESIZE_MODES)
  # It knows two filters, and takes the second for all other names.
  name = given.get('interpolation', default.interpolation)
  return Preprocessing(
    image_size=size,
    resize_size=size,
    resize=mode,
    interpolation='bilinear' if name == 'bilinear' else 'bicubic',
    mean=_channels(given.get('mean', default.mean)),
    std=_channels(given.get('std', default.std)),
  )


def from_timm(config: Mapping[str, Any]) -> Preprocessing:
  """Reads the `pretrained_cfg` of a timm model.

  R = floor(S / crop_pct), as timm has it.

  Args:
    config: its content.

  Raises:
    UserError: for a rule that does not make squares by resizing and cutting.
  """
  # timm takes empty and zero values for absent ones.
  given = {key: value for key, value in config.items() if value}
  default = RELEASED['timm']
  channels, *sides = given.get('input_size', (RGB, 224, 224))
  size = _square('input_size', _sides(sides, square=True))
  mode = given.get('crop_mode', 'center')
  if mode not in _CROP_MODES:
    raise unknown('crop_mode', mode, _CROP_MODES)
  return Preprocessing(
    image_size=size,
    resize_size=math.floor(size / given.get('crop_pct', 0.875)),
    resize=cast(Any, _CROP_MODES[mode]),
    interpolation=given.get('interpolation', 'bicubic'),
    mean=_channels(given.get('mean', default.mean)),
    std=_channels(given.get('std', default.std)),
    channels=None if channels == RGB else channels,
  )


def to_timm(rule: Preprocessing) -> dict[str, Any]:
  """Returns what a rule is in the `pretrained_cfg` of a timm model."""
  return {
    'input_size': [rule.num_channels, rule.image_size, rule.image_size],
    'interpolation': rule.interpolation,
    'crop_pct': _crop_pct(rule),
    'crop_mode': 'squash' if rule.resize == 'squash' else 'center',
    'mean': list(rule.mean),
    'std': list(rule.std),
  }


def _crop_pct(rule: Preprocessing) -> float:
  """Returns the largest share s with floor(S / s) = R."""
  share = rule.crop_fraction
  while math.floor(rule.image_size / share) < rule.resize_size:
    share = math.nextafter(share, 0.0)
  return share


def _resized(values: Mapping[str, Any]) -> Preprocessing:
  """Returns the rule of transformers' keys, before a cut."""
  square = values['default_to_square']
  sides = _sides(values['size'], square=square)
  is_squashed = len(sides) == 2
  size = _square('size', sides)
  resample = values['resample']
  if type(resample) is not int or not 0 <= resample < len(_RESAMPLING):
    raise UserError(f'resample is {resample!r}; it must be 0 to 5')
  return Preprocessing(
    image_size=size,
    resize_size=size,
    resize='squash' if is_squashed else 'shortest',
    interpolation=_RESAMPLING[resample],
    offset='floor',
  )


def _convnext(rule: Preprocessing, values: Mapping[str, Any]) -> Preprocessing:
  """Returns ConvNeXt's rule, which cuts nothing off large images."""
  size = rule.image_size
  if size >= _WHOLE:
    return dataclasses.replace(rule, resize='squash')
  return dataclasses.replace(rule, resize_size=int(size / values['crop_pct']))


def _sides(size: Any, *, square: bool) -> tuple[Any, ...]:
  """Returns (height, width), or (side,) of the shorter side.

  Args:
    size: a number, a pair, or transformers' mapping.
    square: whether a number means both sides.
  """
  if isinstance(size, Mapping):
    if set(size) == {'shortest_edge'}:
      return (size['shortest_edge'],)
    if set(size) == {'height', 'width'}:
      return size['height'], size['width']
    raise UserError(f'size is {dict(size)}; pictures must become squares')
  if isinstance(size, list | tuple):
    return tuple(size)
  return (size, size) if square else (size,)


def _square(name: str, sides: tuple[Any, ...]) -> int:
  if len(set(sides)) != 1 or len(sides) > 2:
    raise UserError(f'{name} is {list(sides)}, but encoders take squares here')
  return next(iter(sides))


def _scaled(values: Mapping[str, Any]) -> tuple[Channels, Channels]:
  """Returns mean and deviation of pixels in [0, 1]."""
  mean, std = (_channels(values[key]) for key in ('image_mean', 'image_std'))
  if not values['do_normalize']:
    mean, std = (0.0,) * len(mean), (1.0,) * len(std)
  scale = 255 * (values['rescale_factor'] if values['do_rescale'] else 1.0)
  if math.isclose(scale, 1.0):
    return mean, std
  return _divided(mean, scale), _divided(std, scale)


def _divided(values: Channels, scale: float) -> Channels:
  return tuple(value / scale for value in values)


def _channels(values: Any) -> Channels:
  if isinstance(values, int | float):
    return values, values, values
  return cast(Channels, tuple(values))
