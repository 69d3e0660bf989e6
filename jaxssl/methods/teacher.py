"""The network at rest that a method learns to imitate."""

import dataclasses

from flax import linen as nn

from jaxssl.augment.preprocessing import Channels
from jaxssl.methods.base import PyTree


# Two of them are equal if they are one: arrays cannot be compared for a key.
@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Teacher:
  """A trained encoder with its weights, which are not trained here.

  `weights.teacher.load_teacher` reads one from a folder.

  Attributes:
    encoder: module, images -> (features, out).
    variables: its variables.
    mean: mean of each channel of its images, of pixels in [0, 1].
    std: deviation of each channel.
  """

  encoder: nn.Module
  variables: PyTree
  mean: Channels
  std: Channels
