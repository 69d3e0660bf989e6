"""Full-size CLIP and SigLIP at random weights beside PyTorch.

  python -m benchmarks.quality.clip_parity --out page.md

Weights go from PyTorch through a file into jaxssl, as `jaxssl import` reads
them. Reported is the largest difference over the largest value of the unit
vectors of images and texts and of the logits. The row with another activation
shows what a mistake would look like.
"""

import argparse
from collections.abc import Callable
import dataclasses
import datetime
import functools
import importlib.metadata
import os
import pathlib
import platform
import tempfile
from typing import Any, NamedTuple

import flax
import jax
import jax.numpy as jnp
import numpy as np
import torch
import transformers

from benchmarks.peers import torch_open_clip, torch_simclr
from jaxssl import build, models
from jaxssl.methods import CLIP, SigLIP
from jaxssl.weights import (
  huggingface_pairs,
  huggingface_two_towers,
  open_clip,
  safetensors_file,
)

_SIZE, _ROWS = 224, 4
_VOCABULARY = 49408


class Errors(NamedTuple):
  """Largest difference over largest value."""

  images: float
  texts: float
  logits: float


def _clip(name: str, act: str = 'quick_gelu') -> CLIP:
  model = models.variants.CLIP_MODELS[name]
  is_vit = name.startswith('ViT')
  method = build.build_method(
    {
      'method': {'name': 'clip', 'project_images': is_vit},
      'encoder': {'name': model.encoder, **({'act': act} if is_vit else {})},
      'text_encoder': {'name': model.text_encoder, 'act': act},
      'head': {'name': 'clip', 'out_dim': model.out_dim},
    }
  )
  assert isinstance(method, CLIP)
  return method


def _siglip(act: str = 'gelu_tanh') -> SigLIP:
  method = build.build_method(
    {
      'method': {'name': 'siglip', 'project_images': False},
      'encoder': {'name': 'siglip_vit_b16', 'act': act},
      'text_encoder': {'name': 'siglip_b', 'act': act},
      'head': {'name': 'siglip', 'out_dim': 768},
    }
  )
  assert isinstance(method, SigLIP)
  return method


def _transformers_clip() -> torch.nn.Module:
  # The defaults are ViT-B/32; the end token is that of its vocabulary.
  config = transformers.CLIPConfig(
    text_config={'eos_token_id': _VOCABULARY - 1}
  )
  return transformers.CLIPModel(config)


def _transformers_siglip() -> torch.nn.Module:
  # The defaults are ViT-B/16.
  return transformers.SiglipModel(transformers.SiglipConfig())


@dataclasses.dataclass(frozen=True)
class Case:
  """A model of PyTorch and the method that reads its weights.

  Attributes:
    name: of the row.
    peer: what it is compared with.
    make: the model of PyTorch.
    method: ours.
    rename: its tensors -> by transformers' names.
    export: whether the weights must also come back to the bit.
  """

  name: str
  peer: str
  make: Callable[[], torch.nn.Module]
  method: CLIP | SigLIP
  rename: Callable[[Any], Any] = dict
  export: bool = False


CASES = (
  Case(
    'CLIP ViT-B/32',
    'transformers CLIPModel',
    _transformers_clip,
    _clip('ViT-B/32'),
    export=True,
  ),
  Case(
    'CLIP ViT-B/32',
    'open_clip ViT-B-32-quickgelu',
    functools.partial(torch_open_clip.published, 'ViT-B-32-quickgelu'),
    _clip('ViT-B/32'),
    open_clip.to_huggingface,
  ),
  Case(
    'CLIP ViT-B/32, GELU',
    'open_clip ViT-B-32',
    functools.partial(torch_open_clip.published, 'ViT-B-32'),
    _clip('ViT-B/32', act='gelu'),
    open_clip.to_huggingface,
  ),
  Case(
    'CLIP RN50',
    'open_clip RN50-quickgelu',
    functools.partial(torch_open_clip.published, 'RN50-quickgelu'),
    _clip('RN50'),
    open_clip.to_huggingface,
  ),
  Case(
    'SigLIP ViT-B/16',
    'transformers SiglipModel',
    _transformers_siglip,
    _siglip(),
  ),
  Case(
    'SigLIP ViT-B/16, GELU',
    'open_clip ViT-B-16-SigLIP',
    functools.partial(torch_open_clip.published, 'ViT-B-16-SigLIP'),
    _siglip(act='gelu'),
    open_clip.to_huggingface,
  ),
  Case(
    'on purpose wrong: GELU for QuickGELU',
    'transformers CLIPModel',
    _transformers_clip,
    _clip('ViT-B/32', act='gelu'),
  ),
)


def _inputs(method: CLIP | SigLIP) -> tuple[np.ndarray, np.ndarray]:
  """Returns images, and texts of several lengths: start, words, end, zeros."""
  draws = np.random.default_rng(0)
  images = draws.standard_normal((_ROWS, _SIZE, _SIZE, 3), np.float32)
  tower = method.text_encoder
  text = np.zeros((_ROWS, tower.length), np.int32)
  words = (tower.length - 2, 1, 8, 30)
  for row, count in zip(text, words, strict=True):
    row[: count + 1] = draws.integers(1, tower.vocab_size - 2, count + 1)
    row[count + 1] = tower.vocab_size - 1
  return images, text


def _tensors(model: torch.nn.Module) -> dict[str, np.ndarray]:
  """Returns the tensors as they come out of a file."""
  tensors = {n: t.detach().numpy() for n, t in model.state_dict().items()}
  with tempfile.TemporaryDirectory() as folder:
    path = pathlib.Path(folder) / 'model.safetensors'
    safetensors_file.write(path, tensors)
    return safetensors_file.read(path)


def _abstract(method, images, text):
  batch = {'views': (images,), 'text': text}
  state = jax.eval_shape(method.init, jax.random.key(0), batch)
  return jax.eval_shape(method.export, *state)


def _theirs(model, images, text) -> tuple[np.ndarray, ...]:
  if not isinstance(model, transformers.PreTrainedModel):
    return torch_open_clip.run(model, images, text)
  pixels = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
  ids = torch.from_numpy(text).long()
  with torch.no_grad():
    out = model(input_ids=ids, pixel_values=pixels)
  found = (out.image_embeds, out.text_embeds, out.logits_per_image)
  return tuple(t.numpy() for t in found)


def _ours(method, towers, images, text) -> tuple[np.ndarray, ...]:
  x = jax.jit(method.encode_image)(towers, images)
  y = jax.jit(method.encode_text)(towers, text)
  logits = towers['logits']['params']
  bias = logits.get('bias', 0.0)
  return x, y, jnp.exp(logits['scale']) * x @ y.T + bias


def _relative(ours, theirs) -> float:
  return float(np.abs(np.asarray(ours) - theirs).max() / np.abs(theirs).max())


def measure(case: Case) -> Errors:
  """Returns the errors of one case.

  Raises:
    ValueError: weights that do not come back to the bit.
  """
  model = torch_open_clip.randomize(case.make())
  images, text = _inputs(case.method)
  tensors = _tensors(model)
  towers = huggingface_pairs.pair_from_huggingface(
    case.rename(tensors), _abstract(case.method, images, text)
  )
  if case.export:
    again = huggingface_two_towers.tensors(towers)
    wrong = [n for n in tensors if not np.array_equal(again[n], tensors[n])]
    if wrong or again.keys() != tensors.keys():
      raise ValueError(f'exported weights differ: {wrong[:3]}')
  ours = _ours(case.method, towers, images, text)
  theirs = _theirs(model, images, text)
  return Errors(*(_relative(a, b) for a, b in zip(ours, theirs, strict=True)))


_HEADING = """# Full-size CLIP and SigLIP beside PyTorch

{today}. {cores} vCPU ({machine}), no accelerator.
{versions}.
`python -m benchmarks.quality.clip_parity --out page.md`

Random weights of the full size, written to a file and read as `jaxssl import`
does; {rows} images of {size}x{size} pixels and {rows} texts, from 3 tokens to
the full length, padded with zeros. Largest difference over largest value,
float32; the goal is 1e-4. The weights of the first row are also exported again
and equal the original tensors to the bit. The last row has a mistake on
purpose.

| model | beside | image features | text features | logits |
|---|---|---|---|---|
"""


def _heading() -> str:
  versions = (
    f'Python {platform.python_version()}, jax {jax.__version__}, '
    f'flax {flax.__version__}, PyTorch {torch.__version__}, '
    f'transformers {transformers.__version__}, '
    f'open_clip {importlib.metadata.version("open_clip_torch")}'
  )
  return _HEADING.format(
    today=datetime.date.today(),
    cores=os.cpu_count(),
    machine=platform.machine(),
    versions=versions,
    rows=_ROWS,
    size=_SIZE,
  )


def main() -> None:
  """Runs all cases and writes the table."""
  torch_simclr.libraries()
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--out', help='Markdown file to write')
  arguments = parser.parse_args()
  text = _heading()
  for case in CASES:
    errors = ' | '.join(f'{error:.1e}' for error in measure(case))
    text += f'| {case.name} | {case.peer} | {errors} |\n'
    print(text.splitlines()[-1], flush=True)
  if arguments.out:
    pathlib.Path(arguments.out).write_text(text, encoding='utf-8')


if __name__ == '__main__':
  main()
