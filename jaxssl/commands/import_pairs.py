"""`jaxssl import ... --text_encoder`: both towers of an image-text model."""

import argparse
from collections.abc import Callable, Mapping, Sequence
import dataclasses
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxssl import atomic_file, build
from jaxssl import config as config_lib
from jaxssl.commands import import_preprocessing
from jaxssl.config import schema
from jaxssl.methods.base import Method
from jaxssl.text.tokenizer import BYTES
from jaxssl.train.workdir import Workdir
from jaxssl.weights import (
  descriptions,
  huggingface_pairs,
  open_clip,
  safetensors_file,
)
from jaxssl.weights.exported import ExportedEncoder, save_encoder

Tensors = Mapping[str, np.ndarray]
# Tensors by a library's names -> by transformers'.
FORMATS: dict[str, Callable[[Tensors], Tensors]] = {
  'huggingface': dict,
  'open_clip': open_clip.to_huggingface,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the arguments that only pairs have."""
  parser.add_argument(
    '--text_encoder',
    help='huggingface, open_clip: the text tower, for example clip_512',
  )
  parser.add_argument(
    '--tokenizer', help='the tokenizer of that tower, a file or folder'
  )


def run(
  arguments: argparse.Namespace,
  overrides: Sequence[str],
  file: pathlib.Path,
) -> None:
  """Writes `export/` and `config.json` in a new workdir.

  Vocabulary, length and width of the joint space are those of the file;
  activations, epsilon, heads and the preparation of pictures those of the
  description beside it, if there is one, else those of openai/CLIP or SigLIP;
  other options of the towers are given as `--config.text_encoder.depth=4`.
  """
  tensors = FORMATS[arguments.format](safetensors_file.read(file))
  description = descriptions.describe(
    file, arguments.format, image_size=arguments.image_size
  )
  config = _config(arguments, overrides, tensors, description)
  method = build.build_method(config)
  rule = import_preprocessing.choose(
    arguments, description, config['method']['name']
  )
  towers = huggingface_pairs.pair_from_huggingface(
    tensors, _abstract_towers(method, rule.image_size)
  )
  identity = {'preprocessing': dataclasses.asdict(rule), **config}
  exported = ExportedEncoder(
    section=config['encoder'],
    variables=towers.pop('encoder'),
    towers=towers,
    preprocessing=rule,
    step=0,
    config_hash=config_lib.config_hash({'file': arguments.file, **identity}),
  )
  workdir = Workdir(arguments.workdir)
  save_encoder(workdir.export, exported)
  atomic_file.write_text(workdir.config_path, config_lib.to_json(config))
  import_preprocessing.tell(rule, config['encoder'], description.sides)


def _config(arguments, overrides, tensors, description) -> config_lib.Config:
  is_clip = huggingface_pairs.is_clip(tensors)
  name = 'clip' if is_clip else 'siglip'
  text = {'tokenizer': arguments.tokenizer or BYTES, 'clean': name}
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
    'encoder': arguments.encoder,
    'text_encoder': arguments.text_encoder,
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
  changes = config_lib.parse_overrides(overrides)
  config = schema.apply_overrides(config, changes)
  config['encoder'] = import_preprocessing.with_grid(
    config['encoder'], description.sides
  )
  # No data and no training: what commands for runs ask of a config.
  return {
    'seed': 0,
    **config,
    'data': {},
    'eval': {'data': {}, 'split': 'test'},
  }


def _abstract_towers(method: Method, image_size: int) -> Any:
  images = jax.ShapeDtypeStruct((2, image_size, image_size, 3), jnp.float32)
  text = jax.ShapeDtypeStruct((2, method.text_encoder.length), jnp.int32)
  state = jax.eval_shape(
    method.init, jax.random.key(0), {'views': (images,), 'text': text}
  )
  return jax.eval_shape(method.export, *state)
