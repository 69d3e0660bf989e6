"""A folder from which transformers' `AutoModel` makes an encoder."""

from collections.abc import Callable
import dataclasses
import json
import logging
import pathlib
from typing import Any

import numpy as np

from jaxssl import atomic_file
from jaxssl.augment.bands import RGB
from jaxssl.errors import UserError
from jaxssl.models import ConvNeXt, ResNet, ViT
from jaxssl.weights import (
  huggingface_convnets,
  huggingface_towers,
  huggingface_vit,
  preprocessors,
  safetensors_file,
)
from jaxssl.weights.exported import ExportedEncoder

# (encoder, its variables, side of its images) -> config, tensors by name.
_Convert = Callable[
  [Any, Any, int], tuple[dict[str, Any], dict[str, np.ndarray]]
]
_log = logging.getLogger(__name__)


def save(
  out: pathlib.Path, exported: ExportedEncoder
) -> tuple[str, ExportedEncoder]:
  """Writes `model.safetensors`, `config.json` and `preprocessor_config.json`.

  `config.json` is written last, so a half-written folder is not loaded.

  Args:
    out: the folder.
    exported: the encoder.

  Returns:
    The name of the model there, for example 'Dinov2Model', and the encoder with
    the pictures that are prepared for it there: of the size of the stored
    positions, for which transformers has one value.

  Raises:
    UserError: if transformers has no such model; says why.
  """
  convert = _converter(exported)
  config, tensors = convert(
    exported.encoder, exported.variables, exported.image_size
  )
  if exported.num_channels != RGB:
    config['num_channels'] = exported.num_channels
  rule = exported.preprocessing
  side = config.get('image_size', rule.image_size)
  if side != rule.image_size:
    _log.warning(
      'the stored positions are for %s pixels, so transformers prepares '
      'pictures of %s, where the run looks at %s',
      *(side, side, rule.image_size),
    )
    rule = rule.of_size(side)
  safetensors_file.write(
    out / 'model.safetensors',
    tensors,
    {'format': 'pt'},  # transformers asks for it
  )
  processor = preprocessors.to_transformers(rule)
  for name, content in (
    ('preprocessor_config.json', processor),
    ('config.json', config),
  ):
    atomic_file.write_text(out / name, json.dumps(content, indent=2) + '\n')
  written = dataclasses.replace(exported, preprocessing=rule)
  return config['architectures'][0], written


def _converter(exported: ExportedEncoder) -> _Convert:
  if isinstance(exported.encoder, ViT):
    if huggingface_towers.is_tower(exported.encoder):
      return huggingface_towers.convert
    return huggingface_vit.convert
  if isinstance(exported.encoder, ResNet | ConvNeXt):
    return huggingface_convnets.convert
  raise UserError(
    f'transformers has no model like {exported.section["name"]!r} that is '
    'known here; vision transformers, ResNets and ConvNeXts are'
  )
