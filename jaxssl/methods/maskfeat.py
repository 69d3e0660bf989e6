"""MaskFeat: the oriented gradients of hidden patches."""

import dataclasses

from flax import linen as nn
import jax
import jax.numpy as jnp

from jaxssl import errors
from jaxssl.fields import Count, check_fields
from jaxssl.methods import block_masks, row_sums, variables
from jaxssl.methods.base import Batch, PyTree, RowSums
from jaxssl.models import reinitialize
from jaxssl.models.drop_path import fold_keys
from jaxssl.models.normed_tokens import require_mask_token
from jaxssl.models.vit import ViT
from jaxssl.ops import hog
from jaxssl.ops.tokens import take_tokens


@dataclasses.dataclass(frozen=True, kw_only=True)
class MaskFeat:
  """Regresses histograms of gradients of hidden patches, by a linear layer.

  loss = mean over the hidden patches of the global batch, and their
         values, of (W token + b - histograms)²

  Rectangles of patches are hidden (`ops.masking.block_mask`), and the encoder
  sees a learned token in their place. The target is what `ops.hog.histograms`
  makes of the whole view: of each cell of a patch, and of each channel, a unit
  vector of nine directions. There is no tokenizer and no second network.

  At initialisation predictions are small, and the loss is 1/9 where no cell is
  without edges: the mean square of a unit vector of nine values.

  State: nothing.

  Attributes:
    encoder: a ViT with `use_mask_token` whose tokens pass its final norm.
    num_masked: largest number of hidden patches; for 14x14 patches the authors
      take four tenths of them.
    min_block: smallest number of patches in a rectangle.
    cell: side of a cell of a histogram in pixels, which divides the patch.

  Raises:
    UserError: for values that do not go together.

  References:
    Wei et al., Masked Feature Prediction for Self-Supervised Visual
    Pre-Training, 2021, https://arxiv.org/abs/2112.09133 (of images, HOG);
    https://github.com/facebookresearch/SlowFast (configs/masked_ssl).

  Differs from the authors' code: the mean is over the hidden patches of the
  global batch, not the average of each device's mean; keys have a bias, on
  which no output depends.
  """

  encoder: ViT
  num_masked: Count = 78
  min_block: Count = 16
  cell: Count = 8

  loss = row_sums.mean_loss

  def __post_init__(self) -> None:
    """Raises `UserError` for values that do not go together."""
    require_mask_token('maskfeat', self.encoder)
    check_fields(self)
    if self.encoder.patch_size % self.cell:
      raise errors.UserError(
        f'method.cell {self.cell} does not divide the patches of '
        f'{self.encoder.patch_size} pixels'
      )

  def init(self, key: jax.Array, batch: Batch) -> tuple[PyTree, PyTree]:
    """See `Method.init`."""
    images = batch['views'][0]
    encoder_key, head_key, redraw_key = jax.random.split(key, 3)
    (_, out), encoder = self.encoder.init_with_output(encoder_key, images)
    block_masks.check(self.num_masked, images, out['patches'].shape[1])
    head = self._head(images.shape[-1])
    params = {
      'encoder': encoder['params'],
      'head': head.init(head_key, out['patches'])['params'],
    }
    return reinitialize.truncated_normal(redraw_key, params), {}

  def sums(
    self,
    params: PyTree,
    state: PyTree,
    batch: Batch,
    *,
    keys: jax.Array,
    step: jax.Array,
    axis_name: str | None = None,
  ) -> tuple[RowSums, PyTree]:
    """See `RowWise.sums`."""
    del state, step, axis_name
    images = batch['views'][0]
    # Masks and dropped paths are drawn from keys of their own.
    mask = self.draw_mask(fold_keys(keys, 0), images)
    prediction, places, hidden = self.predict(
      params, images, mask, train=True, keys=fold_keys(keys, 1)
    )
    target = take_tokens(self.targets(images), places)
    error = ((prediction - target) ** 2).mean(-1)
    # Rows hide different numbers of patches.
    seen = {'patches': jnp.asarray(mask.size, jnp.float32)}
    return RowSums((error * hidden).sum(), hidden.sum(), seen), {}

  def summarize(
    self, sums: RowSums, stats: PyTree
  ) -> tuple[dict[str, jax.Array], PyTree]:
    """See `RowWise.summarize`."""
    del stats
    return {'masked_share': sums.weight / sums.seen['patches']}, ()

  def update(
    self, params: PyTree, state: PyTree, carry: PyTree, *, step: jax.Array
  ) -> tuple[PyTree, PyTree]:
    """See `Method.update`."""
    del carry, step
    return params, state

  def export(self, params: PyTree, state: PyTree) -> dict[str, PyTree]:
    """See `Method.export`."""
    return {'encoder': variables.tower('encoder', params, state)}

  def draw_mask(self, keys: jax.Array, images: jax.Array) -> jax.Array:
    """Returns which patches of images are hidden, bool [b, N].

    Args:
      keys: typed PRNG keys [b], one per row.
      images: [b, H, W, C].
    """
    return block_masks.draw(
      keys,
      self.encoder.grid_of(images),
      num_masked=self.num_masked,
      min_block=self.min_block,
    )

  def targets(self, images: jax.Array) -> jax.Array:
    """Returns the histograms of each patch, float32 [b, N, n n C 9].

    Args:
      images: float32 [b, H, W, C], each patch of n x n cells.
    """
    rows, columns = self.encoder.grid_of(images)
    side = self.encoder.patch_size // self.cell
    found = hog.histograms(images.astype(jnp.float32), self.cell)
    found = found.reshape(len(images), rows, side, columns, side, -1)
    return found.swapaxes(2, 3).reshape(len(images), rows * columns, -1)

  def predict(
    self,
    params: PyTree,
    images: jax.Array,
    mask: jax.Array,
    *,
    train: bool = False,
    keys: jax.Array | None = None,
  ) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Predicts the histograms of hidden patches.

    Args:
      params: parameters from `init`.
      images: float32 [b, H, W, C], normalised.
      mask: bool [b, N], at most `num_masked` of a row True.
      train: drop paths.
      keys: typed PRNG keys [b] for them.

    Returns:
      float32 [b, num_masked, n n C 9] as `targets` has them, the patches that
      they are of, int32 [b, num_masked], and which of those are hidden
      (`block_masks`).
    """
    return block_masks.predict(
      self.encoder,
      self._head(images.shape[-1]),
      params,
      images,
      mask,
      num_masked=self.num_masked,
      train=train,
      keys=keys,
    )

  def _head(self, channels: int) -> nn.Dense:
    cells = (self.encoder.patch_size // self.cell) ** 2
    # float32 whatever the encoder's type: what it makes is compared at once.
    return nn.Dense(cells * channels * hog.NUM_BINS, dtype=jnp.float32)
