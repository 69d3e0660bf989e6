"""Jigsaw: which of a set of permutations shuffled the tiles of an image?"""

import dataclasses
import math
from typing import Annotated

from flax import linen as nn
import jax
import jax.numpy as jnp

from jaxssl import errors
from jaxssl.fields import Count, Natural, Range, check_fields
from jaxssl.methods import variables
from jaxssl.methods.base import Aux, Batch, PyTree
from jaxssl.models.puzzle import PuzzleNet
from jaxssl.ops import permutations as permutations_lib
from jaxssl.ops import tiles as tiles_lib
from jaxssl.ops.cross_entropy import label_entropy
from jaxssl.parallel import collectives

GRID = 3
NUM_TILES = GRID * GRID


@dataclasses.dataclass(frozen=True, kw_only=True)
class Jigsaw:
  """Classifies the permutation of the nine tiles of the first view.

  With tiles t_0 ... t_8 in reading order, permutation P_j out of a fixed set
  and h the head over nine encoded tiles,

    loss = CE(softmax(h(f(t_{P_j(0)}), ..., f(t_{P_j(8)}))), j)

  9B tiles go through one forward pass of a shared encoder. Encoded tiles are
  shuffled, not their pixels: the same numbers, and further permutations of an
  image cost only the head.

  Nothing but the content should tell: each tile lies at random in its cell of
  the 3x3 grid, which leaves gaps; its channels are moved against each other
  (chromatic aberration); each channel of each tile is standardised, so the
  views' mean and deviation do not matter here and should be those of the images
  that the encoder sees later.

  State: `stats`, the batch statistics of encoder and head; `permutations`,
  int32 [num_permutations, 9], made at the start from `seed`
  (`ops.permutations`) and saved with the run.

  Attributes:
    encoder: module, images [b, p, p, 3] -> (features [b, D], out).
    num_permutations: size of the set; 100 to 1000 in the paper.
    permutations_per_image: different ones that an image is shuffled by in a
      step; the loss is their mean.
    patch_size: p, side of a tile; with side S of the view at most
      S // 3 - 2 channel_shift.
    channel_shift: a channel of a tile moves by at most so many pixels along
      both axes.
    embed_dim: width that `PuzzleNet` gives a tile.
    hidden_dim: width of the head over all tiles.
    seed: seed of the permutations.

  References:
    Noroozi and Favaro, Unsupervised Learning of Visual Representations by
    Solving Jigsaw Puzzles, 2016, https://arxiv.org/abs/1603.09246 (sections 3
    and 4); https://github.com/MehdiNoroozi/JigsawPuzzleSolver; Kolesnikov et
    al., 2019, https://arxiv.org/abs/1901.09005 (the head, ResNets, several
    permutations of an image; theirs are the same for a whole batch).

  Differs from the authors' code: any encoder instead of AlexNet, with the head
  of `PuzzleNet`; the set is made here (the authors ship a file); gray views are
  shifted too.
  """

  encoder: nn.Module
  num_permutations: Annotated[int, Range(2, math.factorial(NUM_TILES))] = 100
  permutations_per_image: Count = 1
  patch_size: Count = 64
  channel_shift: Natural = 2
  embed_dim: Count = 1000
  hidden_dim: Count = 4096
  seed: int = 0

  def __post_init__(self) -> None:
    """Raises `UserError` for numbers out of range."""
    check_fields(self)
    if self.permutations_per_image > self.num_permutations:
      raise errors.UserError(
        'permutations_per_image must be from 1 to num_permutations '
        f'({self.num_permutations}), got {self.permutations_per_image}'
      )

  @property
  def net(self) -> PuzzleNet:
    """Encoder and head as one module."""
    return PuzzleNet(
      self.encoder, self.num_permutations, self.embed_dim, self.hidden_dim
    )

  def init(self, key: jax.Array, batch: Batch) -> tuple[PyTree, PyTree]:
    """See `Method.init`."""
    keys = collectives.row_keys(key, len(batch['views'][0]), None)
    tiles = self._tiles(keys, batch['views'][0])
    # Only the shape matters.
    orders = jnp.zeros((len(tiles), 1, NUM_TILES), jnp.int32)
    params, stats = variables.split(
      self.net.init(key, tiles, orders, train=False)
    )
    chosen = permutations_lib.hamming_permutations(
      self.num_permutations, length=NUM_TILES, seed=self.seed
    )
    return params, {'stats': stats, 'permutations': jnp.asarray(chosen)}

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
    images = batch['views'][0]
    # Every row has keys of its own for each purpose, by its place in the global
    # batch.
    tile_keys, order_keys, drop_keys = (
      collectives.row_keys(k, len(images), axis_name)
      for k in jax.random.split(key, 3)
    )
    labels = jax.vmap(self._draw)(order_keys)  # [b, m]
    logits, stats = variables.apply_train(
      self.net,
      params,
      state['stats'],
      self._tiles(tile_keys, images),
      state['permutations'][labels],  # [b, m, 9]
      axis_name=axis_name,
      # To the encoder a tile is a row, which drops paths of its own.
      keys=jax.vmap(lambda k: jax.random.split(k, NUM_TILES))(drop_keys),
    )
    entropy = label_entropy(logits, labels)
    top1 = jnp.mean(logits.argmax(-1) == labels)
    return entropy.mean(), Aux({'permutation_top1': top1}, stats)

  def update(
    self, params: PyTree, state: PyTree, carry: PyTree, *, step: jax.Array
  ) -> tuple[PyTree, PyTree]:
    """See `Method.update`."""
    del step
    return params, {**state, 'stats': carry}

  def export(self, params: PyTree, state: PyTree) -> dict[str, PyTree]:
    """See `Method.export`."""
    return {'encoder': variables.tower('encoder', params, state['stats'])}

  def cut(self, keys: jax.Array, images: jax.Array) -> jax.Array:
    """Cuts the nine tiles of images, with their gaps and moved channels.

    Args:
      keys: typed PRNG keys [b], one per row.
      images: [b, H, W, 3].

    Returns:
      [b, 9, p, p, 3] in reading order, not yet standardised.
    """

    def cut(key: jax.Array, image: jax.Array) -> jax.Array:
      corners = random_corners(
        key,
        image.shape,
        patch_size=self.patch_size,
        channel_shift=self.channel_shift,
      )
      return tiles_lib.cut_tiles(image, corners, self.patch_size)

    return jax.vmap(cut)(keys, images)

  def _tiles(self, keys: jax.Array, images: jax.Array) -> jax.Array:
    """Returns tiles [b, 9, p, p, 3] in reading order, without hints."""
    return tiles_lib.standardize(self.cut(keys, images))

  def _draw(self, key: jax.Array) -> jax.Array:
    """Returns the permutations of one image, int32 [m], all different."""
    # The beginning of a shuffled list: drawn without replacement.
    shuffled = jax.random.permutation(key, self.num_permutations)
    return shuffled[: self.permutations_per_image]


def random_corners(
  key: jax.Array,
  shape: tuple[int, ...],
  *,
  patch_size: int,
  channel_shift: int,
) -> jax.Array:
  """Draws a tile in each cell of the 3x3 grid.

  No channel of a tile leaves the cell, so tiles never overlap.

  Args:
    key: typed PRNG key of one image.
    shape: (H, W, C) of the image; its last H % 3 rows and W % 3 columns are not
      used.
    patch_size: side of a tile.
    channel_shift: largest move of each channel along each axis.

  Returns:
    int32 [9, C, 2], (row, column) of the first pixel of each channel of each
    tile, tiles in reading order.

  Raises:
    UserError: the cells are too small.
  """
  height, width, channels = shape
  needed = patch_size + 2 * channel_shift
  if min(height, width) // GRID < needed:
    raise errors.UserError(
      f'tiles of {patch_size} with channel_shift {channel_shift} need views '
      f'of {GRID * needed} pixels, got {min(height, width)}; make the views '
      'larger, or patch_size or channel_shift smaller'
    )
  place_key, shift_key = jax.random.split(key)
  cell = jnp.array([height // GRID, width // GRID])
  index = jnp.arange(NUM_TILES)
  first = jnp.stack([index // GRID, index % GRID], axis=1) * cell[None]
  slack = cell - needed
  # A margin of `channel_shift` on each side, within which channels move; the
  # end of `randint` is exclusive.
  place = channel_shift + jax.random.randint(
    place_key, (NUM_TILES, 2), 0, slack[None] + 1
  )
  shift = jax.random.randint(
    shift_key, (NUM_TILES, channels, 2), -channel_shift, channel_shift + 1
  )
  return (first + place)[:, None] + shift  # [9, 1, 2] + [9, C, 2]
