"""`jaxssl encoders`: what `--encoder` takes."""

import argparse
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from jaxssl.errors import UserError
from jaxssl.models.variants import encoder_names, text_encoder_names

# The beginning of a name -> what such encoders are; the first that fits.
_KINDS = {
  'resnet': 'ResNets of torchvision and timm; width, stem are keys',
  'convnext': 'ConvNeXt, versions 1 and 2, of timm; stem_size is a key',
  'vit_': 'vision transformers: size and patch; any other patch works too',
  'clip_': 'the image towers of CLIP',
  'dinov2_': "DINOv2's: LayerScale, registers by num_registers",
  'dinov3_': "DINOv3's: LayerScale, rotary positions, registers",
  'siglip_': 'the image towers of SigLIP',
  'dvae': "the encoder of DALL-E's tokenizer",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds no arguments: the command has none."""
  del parser


def run(arguments: argparse.Namespace, overrides: Sequence[str]) -> int:
  """Prints the names of image and text encoders, by kind."""
  del arguments
  if overrides:
    raise UserError('encoders takes no --config.* arguments')
  table = Table('names', 'what they are')
  for start, meaning in _KINDS.items():
    names = [name for name in encoder_names() if name.startswith(start)]
    table.add_row(' '.join(names), meaning)
  table.add_row(
    ' '.join(text_encoder_names()), 'of texts (--config.text_encoder.name)'
  )
  Console().print(table)
  return 0
