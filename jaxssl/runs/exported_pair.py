"""Both towers of a CLIP or SigLIP as a folder for transformers."""

import json
import pathlib
from typing import Any

import jax
import numpy as np

from jaxssl import atomic_file, build
from jaxssl.methods.base import ImageText
from jaxssl.runs import towers
from jaxssl.train.workdir import Workdir
from jaxssl.weights import (
  huggingface_two_towers,
  loaded_again,
  preprocessors,
  program,
  safetensors_file,
)
from jaxssl.weights.exported import ExportedEncoder

_SECTIONS = ('encoder', 'text_encoder', 'head')
_SENTENCES = ('a photo of a cat', 'two red houses by the sea at night')


def has_text(workdir: Workdir) -> bool:
  """Returns whether a workdir is of an image-text method.

  Args:
    workdir: folder of `jaxssl train` or `jaxssl import`; the latter has no
      config if it holds one encoder alone.
  """
  if not workdir.config_path.exists():
    return False
  return bool(workdir.read_config().get('text_encoder'))


def save(out: pathlib.Path, workdir: Workdir, exported: ExportedEncoder) -> str:
  """Writes a folder for `from_pretrained` of `CLIPModel` or `SiglipModel`.

  `config.json` is written last, so a half-written folder is not loaded. Where
  transformers is installed, it loads the folder, and its features of noise and
  of sentences are compared with those of the towers.

  Args:
    out: the folder.
    workdir: workdir of the run.
    exported: its encoder, with the other tower.

  Returns:
    The class that loads the folder.

  Raises:
    UserError: for a run that has neither architecture, or whose features are
      others there; says why.
  """
  method = build.build_method(towers.read_config(workdir))
  huggingface_two_towers.check(method)
  variables = {'encoder': exported.variables, **exported.towers}
  config = huggingface_two_towers.config(method, variables)
  # The stored positions decide the size, for which transformers has one value.
  rule = exported.preprocessing.of_size(config['vision_config']['image_size'])
  safetensors_file.write(
    out / 'model.safetensors',
    huggingface_two_towers.tensors(variables),
    {'format': 'pt'},  # transformers asks for it
  )
  for name, content in (
    ('preprocessor_config.json', preprocessors.to_transformers(rule)),
    ('config.json', config),
  ):
    atomic_file.write_text(out / name, json.dumps(content, indent=2) + '\n')
  (model,) = config['architectures']
  if loaded_again.is_possible('transformers'):
    shape = (rule.image_size, rule.image_size, rule.num_channels)
    _compare(out, model, workdir, variables, shape)
  return model


def _compare(
  out: pathlib.Path,
  name: str,
  workdir: Workdir,
  variables: Any,
  shape: tuple[int, int, int],
) -> None:
  """Raises a `UserError` if transformers' features differ."""
  import torch
  import transformers

  config = towers.read_config(workdir)
  method = build.build_method(_in_float32(config))
  assert isinstance(method, ImageText)  # `huggingface_two_towers.check`
  draws = np.random.default_rng(0)
  images = draws.standard_normal((2, *shape), np.float32)
  ids = towers.make_tokenizer(**config['text']).encode(_SENTENCES)
  model: Any = getattr(transformers, name).from_pretrained(out).eval()
  with torch.no_grad():
    theirs = model(
      pixel_values=loaded_again.to_torch(images),
      input_ids=torch.from_numpy(np.array(ids)).long(),
    )
  ours = jax.jit(method.encode_image)(variables, images)
  texts = jax.jit(method.encode_text)(variables, ids)
  # Vectors of length one.
  error = max(
    float(np.abs(ours - theirs.image_embeds.numpy()).max()),
    float(np.abs(texts - theirs.text_embeds.numpy()).max()),
  )
  program.require_small(error)
  loaded_again.say('transformers', error)


def _in_float32(config: dict[str, Any]) -> dict[str, Any]:
  """Returns a config whose modules compute in float32, as transformers will."""
  return config | {
    name: config[name] | {'dtype': 'float32'}
    for name in _SECTIONS
    if 'dtype' in config.get(name, {})
  }
