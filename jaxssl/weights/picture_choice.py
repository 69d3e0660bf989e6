"""What pictures imported weights were made for."""

from collections.abc import Mapping
import dataclasses
import logging
from typing import Any

from jaxssl.augment.bands import RGB, ValueRange
from jaxssl.augment.preprocessing import (
  Channels,
  Interpolation,
  Preprocessing,
  Resize,
)
from jaxssl.weights import huggingface, huggingface_pairs
from jaxssl.weights.descriptions import Description
from jaxssl.weights.preprocessors import RELEASED

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PictureChoice:
  """What a user says of the pictures; None: what the files say.

  Attributes:
    image_size: side of what the encoder is shown, in pixels.
    crop_fraction: `image_size` over the size that a picture is resized to.
    resize: which side has that size.
    interpolation: the filter that resizes.
    mean: mean of each channel, of pixels in [0, 1].
    std: deviation of each channel.
    value_range: of channels as stored, see `augment.bands.Bands`.
  """

  image_size: int | None = None
  crop_fraction: float | None = None
  resize: Resize | None = None
  interpolation: Interpolation | None = None
  mean: Channels | None = None
  std: Channels | None = None
  value_range: ValueRange | None = None

  def rule(
    self, description: Description, release: str, stored: int | None
  ) -> Preprocessing:
    """Returns the rule of the user, else of the files, else of the release.

    Args:
      description: what the files beside the weights say, read with
        `image_size`.
      release: key of `RELEASED`.
      stored: side of the images that positions are stored for, if known; the
        rule of the release then holds for it.

    Raises:
      UserError: if a value is out of its range.
    """
    rule = description.preprocessing
    if rule is None:
      rule = RELEASED[release]
      rule = rule.of_size(self.image_size or stored or rule.image_size)
    if self.crop_fraction is not None:
      rule = rule.cut_to(self.crop_fraction)
    given = {
      name: value
      for name in ('resize', 'interpolation', 'mean', 'std', 'value_range')
      if (value := getattr(self, name)) is not None
    }
    # So many numbers, so many channels; three are those of RGB.
    if self.mean and len(self.mean) != rule.num_channels:
      count = len(self.mean)
      given['channels'] = None if count == RGB else count
    return dataclasses.replace(rule, **given)

  def stored_rule(
    self, rule: Preprocessing, description: Description
  ) -> Preprocessing:
    """Returns the rule for the channels that the weights in the file have.

    Args:
      rule: of `self.rule`.
      description: what the files beside the weights say.
    """
    said = description.preprocessing
    count = said.num_channels if said else RGB
    if count == rule.num_channels:
      return rule
    normal = {'mean': (0.0,) * count, 'std': (1.0,) * count}
    channels = said.channels if said else None
    return dataclasses.replace(
      rule, channels=channels, value_range=None, **normal
    )


def release_of(library: str, tensors: Mapping[str, Any], encoder: Any) -> str:
  """Returns which authors' rule holds where no file says one.

  Args:
    library: format of the weights.
    tensors: arrays by the names of the format.
    encoder: module that they are for.
  """
  if library != 'huggingface':
    return library
  if huggingface_pairs.has_image_tower(tensors):
    is_siglip = huggingface_pairs.is_siglip_tower(tensors)
    return 'siglip' if is_siglip else 'clip'
  position = getattr(encoder, 'position', None)
  if position is None:
    return 'timm'  # a convolutional network, by ImageNet's usual rule
  if huggingface.is_mae(tensors):
    return 'vit_mae'
  return 'beit' if position == 'relative' else 'vit'


def tell(rule: Preprocessing, description: Description) -> None:
  """Logs how pictures will be prepared for an imported encoder.

  Args:
    rule: how.
    description: what the files beside the weights say.
  """
  resized = 'both sides' if rule.resize == 'squash' else 'the shorter side'
  _log.info(
    'pictures: %s to %d pixels (%s), of which the middle %d are seen; '
    'mean %s, std %s',
    resized,
    rule.resize_size,
    rule.interpolation,
    rule.image_size,
    *(', '.join(f'{x:.4g}' for x in v) for v in (rule.mean, rule.std)),
  )
  if description.preprocessing is None:
    _log.info(
      'so it is for most weights of this kind; no file beside these says it: '
      'if they differ, give --image_size, --crop_fraction, --mean, --std'
    )
