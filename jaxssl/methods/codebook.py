"""The tokenizer at rest, whose codes a method learns to predict."""

import dataclasses

from jaxssl.augment.preprocessing import Channels
from jaxssl.methods.base import PyTree
from jaxssl.models.dvae import DVAEEncoder


# Two of them are equal if they are one: arrays cannot be compared for a key.
@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Codebook:
  """A discrete VAE with its weights, which are not trained.

  `weights.codebook.load_codebook` reads one from a folder.

  Attributes:
    encoder: images to logits over codes.
    variables: variables of the encoder.
    mean: mean of each channel of its images, of pixels in [0, 1].
    std: deviation of each channel.
    decoder: variables of the decoder, or None where there is none.
  """

  encoder: DVAEEncoder
  variables: PyTree
  mean: Channels
  std: Channels
  decoder: PyTree | None = None
