"""SimMIM: the pixels of hidden squares, by one linear layer."""

import dataclasses
import math

from flax import linen as nn
import jax
import jax.numpy as jnp

from jaxssl import errors
from jaxssl.fields import Count, MaskRatio, check_fields
from jaxssl.methods import row_sums, variables
from jaxssl.methods.base import Batch, PyTree, RowSums
from jaxssl.models import reinitialize
from jaxssl.models.drop_path import fold_keys
from jaxssl.models.normed_tokens import require_mask_token
from jaxssl.models.vit import ViT
from jaxssl.ops import masking, patches
from jaxssl.ops.tokens import take_tokens


@dataclasses.dataclass(frozen=True, kw_only=True)
class SimMIM:
  """Regresses the pixels of hidden squares from the tokens in their place.

  loss = mean over images, hidden patches and pixels of |W token + b - pixels|

  The picture is cut into squares, larger than patches, of which
  ceil(mask_ratio n) of n are hidden: with small ones a patch could be copied
  from its neighbours. The encoder sees a learned token in place of each hidden
  patch, and the others as they are, so it costs as much as without a mask; the
  decoder is a single layer. Targets are the pixels that the encoder sees.

  At initialisation predictions are small, and the loss is about the mean
  absolute value of a pixel: 0.8 for a normal one of deviation 1.

  State: nothing.

  Attributes:
    encoder: a ViT with `use_mask_token` whose tokens pass its final norm. The
      authors: position 'relative', layer_scale 0.1 and drop_path 0.1 (ViT-B).
    mask_ratio: share of the squares that are hidden.
    mask_size: side of a square in pixels, a multiple of the patch.

  References:
    Xie et al., SimMIM: A Simple Framework for Masked Image Modeling, 2021,
    https://arxiv.org/abs/2111.09886; https://github.com/microsoft/SimMIM.

  Differs from the authors' code: keys have a bias, on which no output depends;
  only hidden patches are predicted, as no other one counts.
  """

  encoder: ViT
  mask_ratio: MaskRatio = 0.6
  mask_size: Count = 32

  loss = row_sums.mean_loss

  def __post_init__(self) -> None:
    """Raises `UserError` for values that do not go together."""
    require_mask_token('simmim', self.encoder)
    check_fields(self)
    if self.mask_size % self.encoder.patch_size:
      raise errors.UserError(
        f'method.mask_size {self.mask_size} is no multiple of the patches of '
        f'{self.encoder.patch_size} pixels'
      )

  def init(self, key: jax.Array, batch: Batch) -> tuple[PyTree, PyTree]:
    """See `Method.init`."""
    encoder_key, head_key, redraw_key = jax.random.split(key, 3)
    (_, out), encoder = self.encoder.init_with_output(
      encoder_key, batch['views'][0]
    )
    head = self._head(batch['views'][0].shape[-1])
    params = {
      'encoder': encoder['params'],
      'head': head.init(head_key, out['patches'])['params'],
    }
    # As BEiT's, on whose code the authors' is built.
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
    hidden = self.draw_mask(fold_keys(keys, 0), images)
    prediction, places = self.predict(
      params, images, hidden, train=True, keys=fold_keys(keys, 1)
    )
    pixels = patches.patchify(
      images.astype(jnp.float32), self.encoder.patch_size
    )
    error = jnp.abs(prediction - take_tokens(pixels, places)).mean((1, 2))
    # Every row hides the same number of patches.
    return RowSums(error.sum(), jnp.asarray(len(images), jnp.float32)), {}

  def summarize(
    self, sums: RowSums, stats: PyTree
  ) -> tuple[dict[str, jax.Array], PyTree]:
    """See `RowWise.summarize`."""
    del sums, stats
    return {}, ()

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
      images: [b, H, W, 3].

    Raises:
      jaxssl.errors.UserError: if squares do not divide the images, or all of
        them would be hidden.
    """
    rows, columns = self._squares(images)
    # Rounded up, as the authors': 30 of 49.
    count = math.ceil(self.mask_ratio * rows * columns)
    if count == rows * columns:
      raise errors.UserError(
        f'method.mask_ratio {self.mask_ratio} hides all of {count} squares; '
        'use a smaller method.mask_size or ratio'
      )
    noise = masking.row_noise(keys, rows * columns)
    hidden = masking.mask_by_noise(noise, rows * columns - count).hidden
    hidden = hidden.reshape(-1, rows, columns)
    side = self.mask_size // self.encoder.patch_size
    hidden = jnp.repeat(jnp.repeat(hidden, side, axis=1), side, axis=2)
    return hidden.reshape(len(images), -1)

  def predict(
    self,
    params: PyTree,
    images: jax.Array,
    hidden: jax.Array,
    *,
    train: bool = False,
    keys: jax.Array | None = None,
  ) -> tuple[jax.Array, jax.Array]:
    """Predicts the pixels of hidden patches.

    Args:
      params: parameters from `init`.
      images: float32 [b, H, W, 3], normalised.
      hidden: bool [b, N], from `draw_mask`: the same number in all rows.
      train: drop paths.
      keys: typed PRNG keys [b] for them.

    Returns:
      float32 [b, K, p p 3], as `ops.patches.patchify` has them, and the K
      patches that they are of, int32 [b, K].
    """
    _, out = self.encoder.apply(
      {'params': params['encoder']}, images, train, keys=keys, mask=hidden
    )
    rows, columns = self._squares(images)
    side = self.mask_size // self.encoder.patch_size
    count = math.ceil(self.mask_ratio * rows * columns) * side**2
    # Hidden patches first, in their order.
    places = jnp.argsort(~hidden, axis=1, stable=True)[:, :count]
    tokens = take_tokens(out['patches'], places)
    head = self._head(images.shape[-1])
    return variables.apply(head, {'params': params['head']}, tokens), places

  def _head(self, channels: int) -> nn.Dense:
    # float32 whatever the encoder's type: what it makes is compared at once.
    return nn.Dense(channels * self.encoder.patch_size**2, dtype=jnp.float32)

  def _squares(self, images: jax.Array) -> tuple[int, int]:
    """Returns (rows, columns) of squares."""
    _, height, width, _ = images.shape
    if height % self.mask_size or width % self.mask_size:
      raise errors.UserError(
        f'squares of method.mask_size {self.mask_size} do not divide images of '
        f'{height}x{width} pixels'
      )
    return height // self.mask_size, width // self.mask_size
