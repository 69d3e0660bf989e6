"""The one table of encoder names."""

import dataclasses
import re
from typing import Any

from flax import linen as nn
import jax.numpy as jnp

from jaxssl import errors
from jaxssl.models.dvae import DVAEEncoder
from jaxssl.models.resnet import ResNet
from jaxssl.models.vit import ViT

_RESNETS = {f'resnet{d}': {'depth': d} for d in (18, 34, 50, 101, 152)}
_VITS = {
  'ti': {'dim': 192, 'depth': 12, 'num_heads': 3},
  's': {'dim': 384, 'depth': 12, 'num_heads': 6},
  'b': {'dim': 768, 'depth': 12, 'num_heads': 12},
  'l': {'dim': 1024, 'depth': 24, 'num_heads': 16},
  'h': {'dim': 1280, 'depth': 32, 'num_heads': 16},
}
# Any patch size works; these are the ones to list.
_PATCHES = (4, 8, 14, 16, 32)
_DVAE = 'dvae'
_DTYPES = ('float32', 'bfloat16', 'float16')


def encoder_names() -> tuple[str, ...]:
  """Returns the names that help texts list, ResNets first."""
  vits = (f'vit_{size}{patch}' for size in _VITS for patch in _PATCHES)
  return (*_RESNETS, *vits, _DVAE)


def make_encoder(name: str, **overrides: Any) -> nn.Module:
  """Builds an encoder from its name.

  Args:
    name: 'resnet18' to 'resnet152', 'vit_' with size (ti, s, b, l, h) and patch
      size, for example 'vit_s16' or 'vit_ti4', or 'dvae', the encoder of
      DALL-E's tokenizer.
    **overrides: attributes of the module, for example `width=0.25` or
      `pool='avg'`; `dtype` may be a name such as 'bfloat16'.

  Returns:
    A Linen module `(images, train, axis_name, keys) -> (features, out)`.

  Raises:
    UserError: unknown name, attribute or value.
  """
  module, fields = _find(name)
  _check_names(name, module, overrides)
  return module(**fields | _with_dtype(overrides))


def _find(name):
  """Returns the module class and the attributes that `name` stands for."""
  if name in _RESNETS:
    return ResNet, _RESNETS[name]
  if name == _DVAE:
    return DVAEEncoder, {}
  match = re.fullmatch(r'vit_([a-z]+)([1-9]\d*)', str(name))
  if match and match[1] in _VITS:
    return ViT, _VITS[match[1]] | {'patch_size': int(match[2])}
  raise errors.unknown('encoder', name, encoder_names())


def _check_names(name, module, overrides):
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


def _with_dtype(overrides):
  dtype = overrides.get('dtype')
  if not isinstance(dtype, str):
    return overrides
  if dtype not in _DTYPES:
    raise errors.unknown('dtype', dtype, _DTYPES)
  return overrides | {'dtype': jnp.dtype(dtype)}
