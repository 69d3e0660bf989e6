"""The one table of encoder names."""

import dataclasses
from typing import Any

from flax import linen as nn
import jax.numpy as jnp

from jaxssl import errors
from jaxssl.models.resnet import ResNet

_RESNETS = {f'resnet{d}': {'depth': d} for d in (18, 34, 50, 101, 152)}
_DTYPES = ('float32', 'bfloat16', 'float16')


def encoder_names() -> tuple[str, ...]:
  """Returns the names that help texts list."""
  return tuple(_RESNETS)


def make_encoder(name: str, **overrides: Any) -> nn.Module:
  """Builds an encoder from its name.

  Args:
    name: 'resnet18', 'resnet50', ...
    **overrides: attributes of the module, for example `width=0.25`; `dtype`
      may be a name such as 'bfloat16'.

  Returns:
    A Linen module `(images, train, axis_name, keys) -> (features, out)`.

  Raises:
    UserError: unknown name, attribute or value.
  """
  if name not in _RESNETS:
    raise errors.unknown('encoder', name, encoder_names())
  module, fields = ResNet, _RESNETS[name]
  _check_names(name, module, overrides)
  return module(**fields | _with_dtype(overrides))


def _check_names(name, module, overrides):
  accepted = [
    f.name
    for f in dataclasses.fields(module)
    if f.name not in ('parent', 'name')
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
