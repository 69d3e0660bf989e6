"""A workdir from both towers of a published image-text model."""

from collections.abc import Callable, Mapping
import dataclasses
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxssl import atomic_file, build
from jaxssl import config as config_lib
from jaxssl.config import schema
from jaxssl.errors import UserError
from jaxssl.methods.base import Method
from jaxssl.text.tokenizer import BYTES, Tokenizer
from jaxssl.train.workdir import Workdir
from jaxssl.weights import (
  descriptions,
  huggingface_pairs,
  open_clip,
  picture_choice,
  position_grid,
  safetensors_file,
)
from jaxssl.weights.descriptions import Description
from jaxssl.weights.exported import ExportedEncoder, save_encoder
from jaxssl.weights.picture_choice import PictureChoice

Tensors = Mapping[str, np.ndarray]
# Tensors by a library's names -> by transformers'.
FORMATS: dict[str, Callable[[Tensors], Tensors]] = {
  'huggingface': dict,
  'open_clip': open_clip.to_huggingface,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class PublishedPair:
  """A published model, and what its tensors do not tell.

  Attributes:
    format: key of `FORMATS`.
    file: the weights, as the user named them.
    path: where they are.
    encoder: architecture of the image tower.
    text_encoder: architecture of the text tower.
    tokenizer: tokenizer of the text tower, a file or folder; None for bytes.
    pictures: what the user says of the pictures.
    changes: `section.key` -> value, of the towers.
  """

  format: str
  file: str
  path: pathlib.Path
  encoder: str
  text_encoder: str
  tokenizer: str | None
  pictures: PictureChoice
  changes: Mapping[str, Any]


def write(workdir: Workdir, pair: PublishedPair) -> None:
  """Writes `export/`, `config.json` and the tokenizer in a new workdir.

  Vocabulary, length and width of the joint space are those of the file;
  activations, epsilon, heads and the preparation of pictures those of the
  description beside it, if there is one, else those of openai/CLIP or SigLIP.

  Raises:
    UserError: if the file does not fit the towers, a value is out of its
      range, or the tokenizer is not there.
  """
  tensors = FORMATS[pair.format](safetensors_file.read(pair.path))
  description = descriptions.describe(
    pair.path, pair.format, image_size=pair.pictures.image_size
  )
  config = _config(pair, tensors, description)
  tokenizer = build.build_tokenizer(config)
  if tokenizer and pair.tokenizer is None:
    _check_bytes(config['text_encoder']['vocab_size'], tokenizer)
  method = build.build_method(config)
  stored = position_grid.image_side(
    huggingface_pairs.named_image(tensors), config['encoder']
  )
  rule = pair.pictures.rule(description, config['method']['name'], stored)
  towers = huggingface_pairs.pair_from_huggingface(
    tensors,
    _abstract_towers(method, rule.image_size, config['text_encoder']['length']),
    antialias=config['encoder'].get('antialias', True),
  )
  identity = {'preprocessing': dataclasses.asdict(rule), **config}
  exported = ExportedEncoder(
    section=config['encoder'],
    variables=towers.pop('encoder'),
    towers=towers,
    preprocessing=rule,
    step=0,
    config_hash=config_lib.config_hash({'file': pair.file, **identity}),
  )
  save_encoder(workdir.export, exported)
  if tokenizer:
    tokenizer.save(workdir.tokenizer)
  atomic_file.write_text(workdir.config_path, config_lib.to_json(config))
  picture_choice.tell(rule, description)
  position_grid.tell(config['encoder'], description.sides)


def _check_bytes(num_tokens: int, tokenizer: Tokenizer) -> None:
  """Refuses bytes in place of a tokenizer that was not named."""
  if num_tokens != tokenizer.vocab_size:
    raise UserError(
      f'the text tower knows {num_tokens:,} tokens, and without --tokenizer a '
      f'token is a byte, of {tokenizer.vocab_size}; give the tokenizer that '
      'lies with the weights, a file or folder'
    )


def _config(
  pair: PublishedPair, tensors: Tensors, description: Description
) -> config_lib.Config:
  is_clip = huggingface_pairs.is_clip(tensors)
  name = 'clip' if is_clip else 'siglip'
  text = {'tokenizer': pair.tokenizer or BYTES, 'clean': name}
  sizes = huggingface_pairs.text_sizes(tensors)
  sections: dict[str, dict[str, Any]] = {
    'method': {'project_images': huggingface_pairs.projects_images(tensors)},
    'encoder': {},
    'text_encoder': sizes,
    'head': huggingface_pairs.head_sizes(tensors),
    'text': {**text, 'length': sizes['length']},
  }
  names = {
    'method': name,
    'encoder': pair.encoder,
    'text_encoder': pair.text_encoder,
    'head': name,
    'text': None,
  }
  config = {
    section: schema.defaults(section, names[section])
    | ({'name': names[section]} if names[section] else {})
    | values
    for section, values in sections.items()
  }
  for section, values in description.options.items():
    # A modified ResNet has neither heads nor an activation.
    own = values.keys() & config[section].keys()
    config[section] |= {key: values[key] for key in own}
  config = schema.apply_overrides(config, pair.changes)
  config['encoder'] = position_grid.with_grid(
    config['encoder'], description.sides
  )
  # No data and no training: what commands for runs ask of a config.
  return {
    'seed': 0,
    **config,
    'data': {},
    'eval': {'data': {}, 'split': 'test'},
  }


def _abstract_towers(method: Method, image_size: int, text_length: int) -> Any:
  images = jax.ShapeDtypeStruct((2, image_size, image_size, 3), jnp.float32)
  text = jax.ShapeDtypeStruct((2, text_length), jnp.int32)
  state = jax.eval_shape(
    method.init, jax.random.key(0), {'views': (images,), 'text': text}
  )
  return jax.eval_shape(method.export, *state)
