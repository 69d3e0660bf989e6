"""A folder from which transformers' `AutoModel` makes an encoder."""

import json
import pathlib

from jaxssl import atomic_file
from jaxssl.errors import UserError
from jaxssl.models import ViT
from jaxssl.weights import huggingface_vit, preprocessors, safetensors_file
from jaxssl.weights.exported import ExportedEncoder


def save(out: pathlib.Path, exported: ExportedEncoder) -> str:
  """Writes `model.safetensors`, `config.json` and `preprocessor_config.json`.

  `config.json` is written last, so a half-written folder is not loaded.

  Args:
    out: the folder.
    exported: the encoder.

  Returns:
    The name of the model there, for example 'Dinov2Model'.

  Raises:
    UserError: if transformers has no such model; says why.
  """
  encoder = exported.encoder
  if not isinstance(encoder, ViT):
    raise UserError(
      f'transformers has no model like {exported.section["name"]!r} that is '
      'known here; vision transformers are'
    )
  config, tensors = huggingface_vit.convert(
    encoder, exported.variables, exported.image_size
  )
  safetensors_file.write(
    out / 'model.safetensors',
    tensors,
    {'format': 'pt'},  # transformers asks for it
  )
  processor = preprocessors.to_transformers(exported.preprocessing)
  for name, content in (
    ('preprocessor_config.json', processor),
    ('config.json', config),
  ):
    atomic_file.write_text(out / name, json.dumps(content, indent=2) + '\n')
  return config['architectures'][0]
