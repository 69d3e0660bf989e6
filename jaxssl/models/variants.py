"""The one table of encoder names, of images and of texts."""

from collections.abc import Mapping
import dataclasses
import re
from typing import Any, Literal, NamedTuple, get_args

from flax import linen as nn
import jax.numpy as jnp

from jaxssl import errors
from jaxssl.models.clip_resnet import CLIPResNet
from jaxssl.models.convnext import ConvNeXt
from jaxssl.models.dvae import DVAEEncoder
from jaxssl.models.resnet import ResNet
from jaxssl.models.text_encoder import TextEncoder
from jaxssl.models.vit import ViT

# Attributes of a module that a name stands for.
_Options = dict[str, dict[str, Any]]
_VITS: _Options = {
  'ti': {'dim': 192, 'depth': 12, 'num_heads': 3},
  's': {'dim': 384, 'depth': 12, 'num_heads': 6},
  'b': {'dim': 768, 'depth': 12, 'num_heads': 12},
  'l': {'dim': 1024, 'depth': 24, 'num_heads': 16},
  'h': {'dim': 1280, 'depth': 32, 'num_heads': 16},
  # MLPs of 6144 units; DINOv2's giant is another.
  'g': {'dim': 1408, 'depth': 40, 'num_heads': 16, 'mlp_ratio': 48 / 11},
  # SigLIP's, optimal in shape; its MLPs have 4304 units.
  'so400m': {'dim': 1152, 'depth': 27, 'num_heads': 16, 'mlp_ratio': 3.7362},
}
_CONVNEXTS: _Options = {
  't': {},
  's': {'blocks': (3, 3, 27, 3)},
  'b': {'blocks': (3, 3, 27, 3), 'width': 128},
  'l': {'blocks': (3, 3, 27, 3), 'width': 192},
}
# Sizes that the second version has beside those, by their names there.
_SMALL_CONVNEXTS: _Options = {
  'atto': {'blocks': (2, 2, 6, 2), 'width': 40},
  'femto': {'blocks': (2, 2, 6, 2), 'width': 48},
  'pico': {'blocks': (2, 2, 6, 2), 'width': 64},
  'nano': {'blocks': (2, 2, 8, 2), 'width': 80},
}
_SIZE_OF_CONVNEXT = ('blocks', 'width', 'grn')
_CONVNEXT_V2 = {'grn': True, 'layer_scale': None}
# Names of encoders but for vision transformers, which combine size and patch.
_NAMED: dict[str, tuple[type[Any], dict[str, Any]]] = {
  **{f'resnet{d}': (ResNet, {'depth': d}) for d in (18, 34, 50, 101, 152)},
  'clip_resnet50': (CLIPResNet, {}),
  'clip_resnet101': (CLIPResNet, {'blocks': (3, 4, 23, 3), 'out_dim': 512}),
  'clip_resnet50x4': (
    CLIPResNet,
    {'blocks': (4, 6, 10, 6), 'width': 80, 'out_dim': 640},
  ),
  'clip_resnet50x16': (
    CLIPResNet,
    {'blocks': (6, 8, 18, 8), 'width': 96, 'out_dim': 768},
  ),
  'clip_resnet50x64': (
    CLIPResNet,
    {'blocks': (3, 15, 36, 10), 'width': 128},
  ),
  **{f'convnext_{s}': (ConvNeXt, fields) for s, fields in _CONVNEXTS.items()},
  **{
    f'convnextv2_{size}': (ConvNeXt, _CONVNEXT_V2 | fields)
    for size, fields in (_SMALL_CONVNEXTS | _CONVNEXTS).items()
  },
  'dvae': (DVAEEncoder, {}),
}
# What CLIP's vision transformers do differently.
_CLIP_VIT = {
  'norm_pre': True,
  'act': 'quick_gelu',
  'epsilon': 1e-5,
  'patch_bias': False,
}
_SIGLIP_VIT = {'pool': 'map', 'class_token': False, 'act': 'gelu_tanh'}
# Small numbers to start from, as the authors trained them.
_DINOV2_VIT = {'layer_scale': 1e-5}
_DINOV3_VIT = {
  'layer_scale': 1e-5,
  'position': 'rope',
  'num_registers': 4,
  'key_bias': False,
  'epsilon': 1e-5,
}
_VIT_STYLES: _Options = {
  '': {},
  'dinov2_': _DINOV2_VIT,
  'dinov3_': _DINOV3_VIT,
  'clip_': _CLIP_VIT,
  'siglip_': _SIGLIP_VIT,
}
# Sizes that a style has beside or in place of the common ones.
_SIZES_OF_STYLE: dict[str, _Options] = {
  'dinov2_': {
    'g': {
      'dim': 1536,
      'depth': 40,
      'num_heads': 24,
      'mlp_ratio': 8 / 3,
      'act': 'swiglu',
    }
  },
  # MLPs of 4 D units, and gated ones of as many in those with a plus.
  'dinov3_': {
    'splus': {'dim': 384, 'depth': 12, 'num_heads': 6, 'act': 'swiglu'},
    'hplus': {'dim': 1280, 'depth': 32, 'num_heads': 20, 'act': 'swiglu'},
  },
  # SigLIP 2's giant, optimal in shape.
  'siglip_': {'giant': {'dim': 1536, 'depth': 40, 'num_heads': 16}},
}
_SIGLIP_TEXT = {
  'vocab_size': 32000,
  'length': 64,
  'pool': 'last',
  'causal': False,
  'act': 'gelu_tanh',
  'epsilon': 1e-6,
}
_BERT = {
  'vocab_size': 30522,
  'length': 512,
  'pool': 'cls',
  'pad_id': 0,
  'causal': False,
  'post_norm': True,
  'act': 'gelu',
  'epsilon': 1e-12,
}
_GPT2 = {'vocab_size': 50257, 'length': 1024, 'act': 'gelu_tanh'}
_TEXT_ENCODERS: _Options = {
  'clip_512': {},
  'clip_640': {'dim': 640, 'num_heads': 10},
  'clip_768': {'dim': 768, 'num_heads': 12},
  'clip_1024': {'dim': 1024, 'num_heads': 16},
  'siglip_b': _SIGLIP_TEXT | _VITS['b'],
  'siglip_l': _SIGLIP_TEXT | _VITS['l'],
  'siglip_so400m': _SIGLIP_TEXT | _VITS['so400m'],
  'bert_b': _BERT | _VITS['b'],
  'bert_l': _BERT | _VITS['l'],
  'gpt2_b': _GPT2 | _VITS['b'],
  'gpt2_l': _GPT2 | _VITS['l'],
}
# One name of each kind of module, for pages that list what they take.
_FIRST = {module: name for name, (module, _) in reversed(_NAMED.items())}
ENCODER_KINDS = (*reversed(_FIRST.values()), 'vit_s16')
TEXT_ENCODER_KINDS = ('clip_512',)
# Any patch size works; these are the ones to list.
_PATCHES = (4, 8, 14, 16, 32)
# Types of a computation, by name.
DtypeName = Literal['float32', 'bfloat16', 'float16']


class CLIPModel(NamedTuple):
  """The towers of one of the paper's models.

  Attributes:
    encoder: name for `make_encoder`.
    image_size: side of its images in pixels.
    text_encoder: name for `make_text_encoder`.
    out_dim: width of the joint space.
  """

  encoder: str
  image_size: int
  text_encoder: str
  out_dim: int


# Table 19 and 20 of arXiv 2103.00020, by the names of openai/CLIP.
CLIP_MODELS = {
  'RN50': CLIPModel('clip_resnet50', 224, 'clip_512', 1024),
  'RN101': CLIPModel('clip_resnet101', 224, 'clip_512', 512),
  'RN50x4': CLIPModel('clip_resnet50x4', 288, 'clip_640', 640),
  'RN50x16': CLIPModel('clip_resnet50x16', 384, 'clip_768', 768),
  'RN50x64': CLIPModel('clip_resnet50x64', 448, 'clip_1024', 1024),
  'ViT-B/32': CLIPModel('clip_vit_b32', 224, 'clip_512', 512),
  'ViT-B/16': CLIPModel('clip_vit_b16', 224, 'clip_512', 512),
  'ViT-L/14': CLIPModel('clip_vit_l14', 224, 'clip_768', 768),
  'ViT-L/14@336px': CLIPModel('clip_vit_l14', 336, 'clip_768', 768),
}


def encoder_names() -> tuple[str, ...]:
  """Returns the names that help texts list."""
  vits = (f'vit_{size}{patch}' for size in _VITS for patch in _PATCHES)
  clip = (m.encoder for m in CLIP_MODELS.values())
  dinov2 = (f'dinov2_vit_{size}14' for size in 'sblg')
  dinov3 = (f'dinov3_vit_{s}16' for s in ('s', 'splus', 'b', 'l', 'hplus'))
  sizes = ('b16', 'l16', 'so400m14', 'giant16')
  siglip = [f'siglip_vit_{size}' for size in sizes]
  return tuple(
    dict.fromkeys((*_NAMED, *vits, *dinov2, *dinov3, *clip, *siglip))
  )


def text_encoder_names() -> tuple[str, ...]:
  """Returns the names that `make_text_encoder` knows."""
  return tuple(_TEXT_ENCODERS)


def make_encoder(name: str, **overrides: Any) -> nn.Module:
  """Builds an encoder from its name.

  Args:
    name: 'resnet18' to 'resnet152', 'vit_' with size (ti, s, b, l, h, g,
      so400m) and patch size, for example 'vit_s16' or 'vit_ti4', such a name
      behind 'clip_', 'siglip_', 'dinov2_' or 'dinov3_' for the details of their
      transformers (`dinov2_vit_g14` is DINOv2's own giant, with gated MLPs),
      'clip_resnet50' to 'clip_resnet50x64', 'convnext_' with a size (t, s, b,
      l), 'convnextv2_' with one (atto, femto, pico, nano, t, s, b, l), or
      'dvae', the encoder of DALL-E's tokenizer.
    **overrides: attributes of the module, for example `width=0.25` or
      `pool='avg'`; `dtype` may be a name such as 'bfloat16'.

  Returns:
    A Linen module `(images, train, axis_name, keys) -> (features, out)`.

  Raises:
    UserError: unknown name, attribute or value.
  """
  module, fields = _find(name)
  _check_names(name, module, overrides)
  return module(**{**fields, **_with_dtype(overrides)})


def size_of(style: str, dim: int, depth: int, act: str) -> str | None:
  """Returns the size of a vision transformer in names, None without one.

  Args:
    style: '' or the prefix of a name, for example 'clip_'.
    dim: width of its tokens.
    depth: its number of blocks.
    act: activation of its MLPs; of those that are not gated, any will do.
  """
  is_gated = act == 'swiglu'
  for size, fields in _sizes(style).items():
    fits = (fields['dim'], fields['depth']) == (dim, depth)
    if fits and (fields.get('act') == 'swiglu') == is_gated:
      return size
  return None


def convnext_name(fields: Mapping[str, Any]) -> str:
  """Returns the name of a ConvNeXt, the smallest common one if no size fits.

  Args:
    fields: attributes of `ConvNeXt`, at least `blocks`, `width` and `grn`.
  """
  wanted = [fields[key] for key in _SIZE_OF_CONVNEXT]
  for name, (module, own) in _NAMED.items():
    if module is ConvNeXt:
      made = ConvNeXt(**own)
      if [getattr(made, key) for key in _SIZE_OF_CONVNEXT] == wanted:
        return name
  return 'convnextv2_t' if fields['grn'] else 'convnext_t'


def heads_of(style: str, dim: int) -> int | None:
  """Returns the heads that all vision transformers of a width have, or None.

  Args:
    style: '' or the prefix of a name, for example 'clip_'.
    dim: width of the tokens.
  """
  # What a style has of its own is meant before what it shares.
  for sizes in (_SIZES_OF_STYLE.get(style, {}), _VITS):
    heads = {x['num_heads'] for x in sizes.values() if x['dim'] == dim}
    if heads:
      return heads.pop() if len(heads) == 1 else None
  return None


def _sizes(style: str) -> _Options:
  return _VITS | _SIZES_OF_STYLE.get(style, {})


def make_text_encoder(name: str, **overrides: Any) -> TextEncoder:
  """Builds a text encoder from its name.

  Args:
    name: 'clip_512' to 'clip_1024' (CLIP's, by width), 'siglip_', 'bert_' or
      'gpt2_' with a size (`text_encoder_names`).
    **overrides: attributes of `TextEncoder`, for example `depth=4`; `dtype` may
      be a name such as 'bfloat16'.

  Returns:
    A Linen module `(text, train, axis_name, keys) -> (features, out)`.

  Raises:
    UserError: unknown name, attribute or value.
  """
  if name not in _TEXT_ENCODERS:
    raise errors.unknown('text encoder', name, _TEXT_ENCODERS)
  _check_names(name, TextEncoder, overrides)
  return TextEncoder(**_TEXT_ENCODERS[name] | _with_dtype(overrides))


def _find(name: str) -> tuple[type[Any], dict[str, Any]]:
  """Returns the module class and the attributes that `name` stands for."""
  if name in _NAMED:
    return _NAMED[name]
  match = re.fullmatch(r'(\w+_)?vit_([a-z0-9]*[a-z])([1-9]\d*)', str(name))
  style = (match[1] or '') if match else None
  if match and style in _VIT_STYLES:
    sizes = _sizes(style)
    if match[2] in sizes:
      patch = {'patch_size': int(match[3])}
      return ViT, _VIT_STYLES[style] | sizes[match[2]] | patch
  raise errors.unknown('encoder', name, encoder_names())


def _check_names(
  name: str, module: type[Any], overrides: Mapping[str, Any]
) -> None:
  accepted = [
    field.name
    for field in dataclasses.fields(module)
    if field.name not in ('parent', 'name')
  ]
  wrong = [key for key in overrides if key not in accepted]
  if wrong:
    raise errors.UserError(
      f'encoder {name!r} has no option {wrong[0]!r}; it accepts '
      + ', '.join(accepted)
    )


def _with_dtype(overrides: dict[str, Any]) -> dict[str, Any]:
  dtype = overrides.get('dtype')
  if not isinstance(dtype, str):
    return overrides
  if dtype not in get_args(DtypeName):
    raise errors.unknown('dtype', dtype, get_args(DtypeName))
  return overrides | {'dtype': jnp.dtype(dtype)}
