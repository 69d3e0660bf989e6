"""Rectangles of hidden patches, in arrays of fixed shapes."""

import functools
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp

from jaxssl import errors
from jaxssl.methods import variables
from jaxssl.methods.base import PyTree
from jaxssl.models.vit import ViT
from jaxssl.ops import masking
from jaxssl.ops.tokens import take_tokens


def check(num_masked: int, images: jax.Array, num_patches: int) -> None:
  """Raises `UserError` if more patches would be hidden than there are.

  Args:
    num_masked: largest number of hidden patches.
    images: [b, H, W, C].
    num_patches: how many an image has.
  """
  if num_masked > num_patches:
    raise errors.UserError(
      f'method.num_masked is {num_masked}, but images of '
      f'{images.shape[1]}x{images.shape[2]} have {num_patches} patches'
    )


def draw(
  keys: jax.Array,
  grid: tuple[int, int],
  *,
  num_masked: int,
  min_block: int,
) -> jax.Array:
  """Returns which patches of each row are hidden, bool [b, N].

  Args:
    keys: typed PRNG keys [b], one per row.
    grid: (rows, columns) of the N patches.
    num_masked: see `ops.masking.block_mask`.
    min_block: see `ops.masking.block_mask`.
  """
  block_mask = functools.partial(
    masking.block_mask, grid=grid, num_masked=num_masked, min_block=min_block
  )
  return jax.vmap(block_mask)(keys)


def hidden_first(mask: jax.Array, count: int) -> tuple[jax.Array, jax.Array]:
  """Returns places of patches of each row, and which of them are hidden.

  Always as many, since shapes are static, while a mask may hide fewer.

  Args:
    mask: bool [..., N], at most `count` of a row True.
    count: K.

  Returns:
    int32 [..., K], the hidden patches first and then visible ones to fill up,
    and float32 [..., K], 1 for hidden ones.
  """
  hidden, places = jax.lax.top_k(mask.astype(jnp.float32), count)
  return places, hidden


def predict(
  encoder: ViT,
  head: nn.Module,
  params: PyTree,
  images: jax.Array,
  mask: jax.Array,
  *,
  num_masked: int,
  train: bool,
  keys: jax.Array | None,
) -> tuple[Any, jax.Array, jax.Array]:
  """Returns what a head says of hidden patches, and which these are.

  Only of hidden patches, which saves most of a wide layer.

  Args:
    encoder: sees the mask token in the place of hidden patches.
    head: tokens [b, M, D] -> what is predicted of each.
    params: variables of both, `encoder` and `head`.
    images: [b, H, W, C], normalised.
    mask: bool [b, N], at most M of a row True.
    num_masked: M.
    train: drop paths.
    keys: typed PRNG keys [b] for them, or None.

  Returns:
    The prediction [b, M, ...], and `hidden_first` of the mask.
  """
  _, out = encoder.apply(
    {'params': params['encoder']}, images, train, keys=keys, mask=mask
  )
  places, hidden = hidden_first(mask, num_masked)
  tokens = take_tokens(out['patches'], places)
  found = variables.apply(head, {'params': params['head']}, tokens)
  return found, places, hidden
