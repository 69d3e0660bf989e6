"""What a network at rest, a tokenizer or a teacher, sees of a batch."""

import jax
import jax.numpy as jnp

from jaxssl import errors
from jaxssl.methods.base import Batch
from jaxssl.methods.codebook import Codebook
from jaxssl.methods.teacher import Teacher


def pixels(batch: Batch, method: str) -> jax.Array:
  """Returns the first view before normalisation, float32 [b, H, W, 3].

  Args:
    batch: what the augmentation has made.
    method: who needs them, which is also the name of its recipe.

  Raises:
    UserError: if the augmentation does not keep them.
  """
  if 'pixels' not in batch:
    raise errors.UserError(
      f'method {method!r} needs the pixels of its view: use '
      f'augment.name={method!r}, or an Augment with keep_pixels=True'
    )
  return batch['pixels']


def crops(batch: Batch, method: str, count: int) -> tuple[jax.Array, ...]:
  """Returns the crops of the first views as they were cut, [b, S, S, 3] each.

  Args:
    batch: what the augmentation has made.
    method: who needs them, which is also the name of its recipe.
    count: how many.

  Raises:
    UserError: if the augmentation does not keep so many.
  """
  found = batch.get('whole', ())
  if len(found) < count:
    raise errors.UserError(
      f'method {method!r} needs the crops of its first {count} views: use '
      f'augment.name={method!r}, or an Augment with keep_crops={count}'
    )
  return found[:count]


def normalize(pixels: jax.Array, network: Codebook | Teacher) -> jax.Array:
  """Returns pixels in [0, 1] with the network's own mean and deviation.

  Args:
    pixels: float32 [b, H, W, C].
    network: has a number per channel of both.
  """
  mean, std = (
    jnp.asarray(values, jnp.float32).reshape(1, 1, 1, -1)
    for values in (network.mean, network.std)
  )
  return (pixels - mean) / std
