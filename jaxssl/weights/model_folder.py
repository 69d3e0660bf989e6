"""The folder of a model as it is downloaded: where in it the weights lie.

transformers' folders hold `model.safetensors` and `config.json`, open_clip's
`open_clip_model.safetensors` and `open_clip_config.json`. Of the description is
read what the shapes of the tensors do not tell: activations, LayerNorm's
epsilon and the number of heads.
"""

from collections.abc import Callable, Mapping
import json
import pathlib
import re
from typing import Any, NamedTuple

from jaxssl.data.optional import require
from jaxssl.errors import UserError

Options = dict[str, dict[str, Any]]
_HUB_ID = re.compile(r'[\w.-]+/[\w.-]+')
_ACTS = {
  'gelu': 'gelu',
  'quick_gelu': 'quick_gelu',
  'gelu_pytorch_tanh': 'gelu_tanh',
  'gelu_new': 'gelu_tanh',
}
# Of open_clip's vision towers, unless the description says otherwise.
_HEAD_WIDTH = 64
# timm's towers for SigLIP have the exact GELU, but for these, whose weights
# came later (timm 1.0.31, vision_transformer.py).
_TANH_TOWER = re.compile(
  r'vit_(base_patch32|so400m_patch16|giantopt_patch16)_siglip_.*'
  r'|vit_large_patch16_siglip_512'
)


def find(given: str, library: str) -> pathlib.Path:
  """Returns the file of weights that `given` stands for.

  Args:
    given: a file; a folder with one; or the id of a model at the Hugging Face
      hub, `owner/name`, which is downloaded unless it is there already
      (`huggingface_hub`, of the extra `text`).
    library: one of `LAYOUTS`; others' files have no fixed name.

  Raises:
    UserError: if there is none; says what to do.
  """
  path = pathlib.Path(given).expanduser()
  if path.is_file():
    return path
  layout = LAYOUTS.get(library)
  if layout and not path.exists() and _HUB_ID.fullmatch(given):
    path = _from_hub(given, layout)
  if not path.is_dir():
    raise UserError(f'weights file {given!r} does not exist')
  if not layout:
    raise UserError(f'{given!r} is a folder; give the .safetensors file in it')
  file = path / layout.weights
  if not file.is_file():
    raise UserError(f'{given!r} holds no {layout.weights}')
  return file


def options(file: pathlib.Path, library: str) -> Options:
  """Returns what the description beside a file says of the two towers.

  Args:
    file: of weights.
    library: one of `LAYOUTS`.

  Returns:
    Values of the sections 'encoder' and 'text_encoder' of a config; empty
    without a description, or with one of something else.

  Raises:
    UserError: for a damaged description or an activation that no tower has.
  """
  layout = LAYOUTS[library]
  path = file.parent / layout.config
  if not path.is_file():
    return {}
  try:
    found = layout.options(json.loads(path.read_text(encoding='utf-8')))
    for tower in found.values():
      _check(tower)
  except UserError as error:
    raise UserError(f'{path}: {error}') from error
  except (
    OSError,
    ValueError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RecursionError,
  ) as error:
    raise UserError(f'{path} is damaged: {error}') from error
  return found


def _check(tower: Mapping[str, Any]) -> None:
  heads, epsilon = tower.get('num_heads', 1), tower.get('epsilon', 1.0)
  if type(heads) is not int or heads < 1:
    raise UserError(f'the number of attention heads is {heads!r}')
  if type(epsilon) is not float or not 0.0 < epsilon <= 1.0:
    raise UserError(f'layer_norm_eps is {epsilon!r}')


def _of_transformers(config: Mapping[str, Any]) -> Options:
  return {
    section: _of_tower(config[name])
    for section, name in (
      ('encoder', 'vision_config'),
      ('text_encoder', 'text_config'),
    )
    if name in config
  }


def _of_tower(config: Mapping[str, Any]) -> dict[str, Any]:
  found = {
    'epsilon': config.get('layer_norm_eps'),
    'num_heads': config.get('num_attention_heads'),
  }
  found = {name: value for name, value in found.items() if value is not None}
  act = config.get('hidden_act')
  if act is None:
    return found
  if act not in _ACTS:
    known = ', '.join(_ACTS)
    raise UserError(f'hidden_act is {act!r}; the towers know {known}')
  return {**found, 'act': _ACTS[act]}


def _of_open_clip(config: Mapping[str, Any]) -> Options:
  if 'model_cfg' not in config:
    return {}
  model = config['model_cfg']
  vision, text = model.get('vision_cfg', {}), model.get('text_cfg', {})
  act = {'act': 'quick_gelu' if model.get('quick_gelu') else 'gelu'}
  towers: Options = {'encoder': {}, 'text_encoder': dict(act)}
  if text.get('act_kwargs', {}).get('approximate') == 'tanh':
    towers['text_encoder']['act'] = 'gelu_tanh'
  if 'eps' in text.get('norm_kwargs', {}):
    towers['text_encoder']['epsilon'] = text['norm_kwargs']['eps']
  if 'heads' in text:
    towers['text_encoder']['num_heads'] = text['heads']
  if 'timm_model_name' in vision:
    is_tanh = _TANH_TOWER.fullmatch(vision['timm_model_name'])
    towers['encoder'] = {'act': 'gelu_tanh' if is_tanh else 'gelu'}
  # Of a modified ResNet the layers are a list, and it has none of these.
  if isinstance(vision.get('layers'), int) and 'width' in vision:
    heads = vision['width'] // vision.get('head_width', _HEAD_WIDTH)
    towers['encoder'] = act | {'num_heads': heads}
  return towers


class _Layout(NamedTuple):
  """Names of the files in a folder, and how to read the description."""

  weights: str
  config: str
  options: Callable[[Mapping[str, Any]], Options]


LAYOUTS = {
  'huggingface': _Layout('model.safetensors', 'config.json', _of_transformers),
  'open_clip': _Layout(
    'open_clip_model.safetensors', 'open_clip_config.json', _of_open_clip
  ),
}


def _from_hub(name: str, layout: _Layout) -> pathlib.Path:
  hub = require('huggingface_hub', extra='text')
  wanted = [layout.weights, layout.config]
  try:
    return pathlib.Path(hub.snapshot_download(name, allow_patterns=wanted))
  except (OSError, ValueError) as error:
    # Its messages are paragraphs; the first sentence says what went wrong.
    reason = re.split(r'\n|\. ', str(error))[0] or type(error).__name__
    raise UserError(
      f'{name!r} is no file or folder here and could not be had from the hub '
      f'({reason}); download {" and ".join(wanted)} of it where there is a '
      'network, and give their folder'
    ) from error
