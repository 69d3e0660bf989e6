"""First layers of one number of channels, for pictures of another."""

import dataclasses
import logging
from typing import Any

from flax import traverse_util
import numpy as np

from jaxssl.augment.bands import RGB
from jaxssl.augment.preprocessing import Preprocessing
from jaxssl.errors import UserError
from jaxssl.weights.exported import ExportedEncoder, abstract_variables

PyTree = Any
_log = logging.getLogger(__name__)


def adapt_kernel(kernel: np.ndarray, channels: int) -> np.ndarray:
  """Returns the kernel of a first convolution for other channels than RGB.

  One channel: the sum over red, green and blue, so that a gray picture gives
  what it gave. Any other number C: red, green, blue, red, ... until there are
  C, times 3 / C, so that the sum over channels has the size that it had.

  Source: `adapt_input_conv` of timm/models/_manipulate.py.

  Args:
    kernel: [h, w, 3, out].
    channels: C.

  Returns:
    [h, w, C, out] in the type of `kernel`.
  """
  if channels == 1:
    return kernel.sum(axis=2, keepdims=True)
  places = np.arange(channels) % RGB
  return kernel[:, :, places] * kernel.dtype.type(RGB / channels)


def adapt_encoder(
  exported: ExportedEncoder, rule: Preprocessing, *, quiet: bool = False
) -> ExportedEncoder:
  """Returns an encoder of RGB pictures for those of another rule.

  Args:
    exported: the encoder, with all of its towers as they are.
    rule: how its pictures will be prepared.
    quiet: do not say which layers are adapted.

  Raises:
    UserError: if both have other channels than RGB, and not the same.
  """
  given, wanted = exported.num_channels, rule.num_channels
  if given == wanted:
    return exported
  if given != RGB:
    raise UserError(
      f'the weights are for pictures of {given} channels, and these have '
      f'{wanted}; only those of RGB are adapted to other channels'
    )
  variables: dict[tuple[str, ...], Any] = traverse_util.flatten_dict(
    exported.variables
  )
  changed = _first_layers(exported, wanted)
  variables |= {
    path: adapt_kernel(np.asarray(variables[path]), wanted) for path in changed
  }
  if not quiet:
    names = ', '.join('.'.join(path[1:]) for path in changed)
    _log.info(
      'pictures of %d channel(s): %s adapted from %d', wanted, names, given
    )
  return dataclasses.replace(
    exported,
    variables=traverse_util.unflatten_dict(variables),
    preprocessing=rule,
  )


def _first_layers(
  exported: ExportedEncoder, channels: int
) -> list[tuple[str, ...]]:
  """Returns the kernels whose shape depends on the number of channels."""
  own, other = (
    _flat_shapes(exported, count) for count in (exported.num_channels, channels)
  )
  return [path for path, leaf in own.items() if leaf.shape != other[path].shape]


def _flat_shapes(
  exported: ExportedEncoder, channels: int
) -> dict[tuple[str, ...], Any]:
  return traverse_util.flatten_dict(
    abstract_variables(exported.encoder, exported.image_size, channels)
  )
