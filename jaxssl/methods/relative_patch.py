"""Relative patch location: where does the second patch lie?"""

import dataclasses
from typing import NamedTuple

from flax import linen as nn
import jax
import jax.numpy as jnp

from jaxssl import errors
from jaxssl.fields import Count, Natural, check_fields
from jaxssl.methods import variables
from jaxssl.methods.base import Aux, Batch, PyTree
from jaxssl.models.puzzle import PuzzleNet
from jaxssl.ops import tiles
from jaxssl.ops.cross_entropy import label_entropy
from jaxssl.parallel import collectives

NUM_PLACES = 8
# Standard deviation of the noise in dropped channels; the kept one has 1.
_NOISE = 0.01


class Pairs(NamedTuple):
  """Two neighbouring patches of each image.

  Attributes:
    patches: float32 [b, 2, p, p, 3], without hints.
    place: int32 [b], where the second lies as seen from the first.
    corners: int32 [b, 2, 2], (row, column) of the first pixel of either.
  """

  patches: jax.Array
  place: jax.Array
  corners: jax.Array


@dataclasses.dataclass(frozen=True, kw_only=True)
class RelativePatch:
  """Classifies at which of eight places a patch lies as seen from another.

  With h the head over two encoded patches and y the place of v,

    loss = 1/2 (CE(softmax(h(f(u), f(v))), y)
                + CE(softmax(h(f(v), f(u))), 7 - y))

  Places are counted in reading order: 0 1 2 above, 3 4 left and right, 5 6 7
  below; 7 - y is the opposite one. A pair of neighbours is cut from a uniform
  position of the first view, 2B patches through one forward pass of a shared
  encoder; both orders are classified, as in the authors' batches.

  Lines that cross the border and chromatic aberration would give the place
  away: there is a gap between the patches, each is moved at random, and each
  keeps one random colour channel, standardised, with noise of standard
  deviation 0.01 in the other two. The views' mean and deviation therefore do
  not matter here; they should be those of the images that the encoder sees
  later.

  State: the batch statistics of encoder and head.

  Attributes:
    encoder: module, images [b, p, p, 3] -> (features [b, D], out).
    patch_size: p, side of a patch in pixels.
    gap: pixels between the patches before they are moved.
    jitter: each patch moves by at most so many pixels along both axes. The
      view's side must be at least 2 (patch_size + jitter) + gap.
    embed_dim: width that `PuzzleNet` gives a patch.
    hidden_dim: width of the head over both patches.

  References:
    Doersch et al., Unsupervised Visual Representation Learning by Context
    Prediction, 2015, https://arxiv.org/abs/1505.05192 (section 3);
    https://github.com/cdoersch/deepcontext.

  Differs from the authors' code: any encoder instead of AlexNet-like towers,
  with the head of `PuzzleNet`; one pair an image instead of the pairs of four
  grids; a mean loss instead of a sum; Gaussian noise as in the paper (uniform
  in the code); no random downsampling of patches; patches of 64 with gap 32 by
  default, the authors' 96 and 48 scaled to views of 224.
  """

  encoder: nn.Module
  patch_size: Count = 64
  gap: Natural = 32
  jitter: Natural = 7
  embed_dim: Count = 1000
  hidden_dim: Count = 4096

  def __post_init__(self) -> None:
    """Raises `UserError` for sizes that make no patches."""
    check_fields(self)

  @property
  def net(self) -> PuzzleNet:
    """Encoder and head as one module."""
    return PuzzleNet(self.encoder, NUM_PLACES, self.embed_dim, self.hidden_dim)

  def init(self, key: jax.Array, batch: Batch) -> tuple[PyTree, PyTree]:
    """See `Method.init`."""
    images = batch['views'][0]
    patches = self.pairs(key, images).patches
    return variables.split(
      self.net.init(key, patches, both_orders(len(images)), train=False)
    )

  # Neither `RowWise` nor `Contrastive`: the head's BatchNorm must see all rows
  # of the batch at once, so it cannot be taken in parts.
  def loss(
    self,
    params: PyTree,
    state: PyTree,
    batch: Batch,
    *,
    key: jax.Array,
    step: jax.Array,
    axis_name: str | None = None,
  ) -> tuple[jax.Array, Aux]:
    """See `Method.loss`."""
    del step
    pair_key, drop_key = jax.random.split(key)
    patches, place, _ = self.pairs(pair_key, batch['views'][0], axis_name)
    rows = len(place)
    logits, stats = variables.apply_train(
      self.net,
      params,
      state,
      patches,
      both_orders(rows),
      axis_name=axis_name,
      keys=_split_rows(collectives.row_keys(drop_key, rows, axis_name)),
    )
    labels = jnp.stack([place, NUM_PLACES - 1 - place], axis=1)  # [b, 2]
    entropy = label_entropy(logits, labels)
    top1 = jnp.mean(logits.argmax(-1) == labels)
    return entropy.mean(), Aux({'place_top1': top1}, stats)

  def update(
    self, params: PyTree, state: PyTree, carry: PyTree, *, step: jax.Array
  ) -> tuple[PyTree, PyTree]:
    """See `Method.update`."""
    del state, step
    return params, carry

  def export(self, params: PyTree, state: PyTree) -> dict[str, PyTree]:
    """See `Method.export`."""
    return {'encoder': variables.tower('encoder', params, state)}

  def pairs(
    self, key: jax.Array, images: jax.Array, axis_name: str | None = None
  ) -> Pairs:
    """Cuts a pair of patches from each image.

    Args:
      key: PRNG key, equal on all devices.
      images: [b, H, W, 3].
      axis_name: mapped device axis, or None if `images` are the global batch.
    """

    def pair(key: jax.Array, image: jax.Array) -> Pairs:
      corner_key, color_key = jax.random.split(key)
      corners, place = random_corners(
        corner_key,
        image.shape[:2],
        patch_size=self.patch_size,
        gap=self.gap,
        jitter=self.jitter,
      )
      # [2, C, 2]: all channels of a patch from the same place. Jigsaw moves
      # them against chromatic aberration; here two of three are dropped.
      channels = jnp.repeat(corners[:, None], image.shape[-1], axis=1)
      patches = tiles.cut_tiles(image, channels, self.patch_size)
      # Both patches may keep different channels, so that colour does not tell
      # how they lie.
      keys = jax.random.split(color_key, 2)
      return Pairs(jax.vmap(drop_colors)(keys, patches), place, corners)

    keys = collectives.row_keys(key, len(images), axis_name)
    return jax.vmap(pair)(keys, images)


def random_corners(
  key: jax.Array,
  shape: tuple[int, ...],
  *,
  patch_size: int,
  gap: int,
  jitter: int,
) -> tuple[jax.Array, jax.Array]:
  """Draws two neighbouring patches.

  Args:
    key: typed PRNG key of one image.
    shape: (H, W) of the image.
    patch_size: side of a patch.
    gap: pixels between the patches before jitter.
    jitter: largest move of each patch along each axis.

  Returns:
    Corners int32 [2, 2], (row, column) of the first pixel of either patch, and
    the place of the second as seen from the first, int32 in [0, 8).

  Raises:
    UserError: the image is too small for two patches.
  """
  needed = 2 * (patch_size + jitter) + gap
  if min(shape) < needed:
    raise errors.UserError(
      f'two patches of {patch_size} with gap {gap} and jitter {jitter} need '
      f'views of {needed} pixels, got {min(shape)}; make the views larger or '
      'patch_size, gap or jitter smaller'
    )
  place_key, first_key, move_key = jax.random.split(key, 3)
  place = jax.random.randint(place_key, (), 0, NUM_PLACES)
  # In the 3x3 grid around the first patch, whose own cell, 4, is left out.
  cell = place + (place >= NUM_PLACES // 2)
  offset = jnp.stack([cell // 3 - 1, cell % 3 - 1]) * (patch_size + gap)
  # Where the first may begin, so that both lie in the image after they have
  # moved.
  low = jitter - jnp.minimum(offset, 0)
  high = jnp.array(shape) - patch_size - jitter - jnp.maximum(offset, 0)
  first = jax.random.randint(first_key, (2,), low, high + 1)
  moves = jax.random.randint(move_key, (2, 2), -jitter, jitter + 1)
  return jnp.stack([first, first + offset]) + moves, place


def drop_colors(key: jax.Array, patch: jax.Array) -> jax.Array:
  """Keeps one channel, standardised; the others become weak noise.

  Args:
    key: typed PRNG key of one patch.
    patch: [p, p, C].

  Returns:
    float32 [p, p, C].
  """
  channel_key, noise_key = jax.random.split(key)
  kept = jax.random.randint(channel_key, (), 0, patch.shape[-1])
  noise = _NOISE * jax.random.normal(noise_key, patch.shape)
  is_kept = (jnp.arange(patch.shape[-1]) == kept)[None, None]
  return jnp.where(is_kept, tiles.standardize(patch), noise)


def both_orders(rows: int) -> jax.Array:
  """Returns the orders (first, second) and (second, first), [rows, 2, 2]."""
  return jnp.tile(jnp.array([[0, 1], [1, 0]])[None], (rows, 1, 1))


def _split_rows(keys: jax.Array) -> jax.Array:
  """Returns keys [b, 2], one per patch."""
  return jax.vmap(lambda key: jax.random.split(key, 2))(keys)
