"""MAE: the pixels of hidden patches from the visible quarter of an image."""

import dataclasses

import jax
import jax.numpy as jnp

from jaxssl import errors
from jaxssl.augment.bands import RGB, require_channels
from jaxssl.fields import Count, MaskRatio, check_fields
from jaxssl.methods import guessing, row_sums, variables
from jaxssl.methods.base import Batch, PyTree, RowSums
from jaxssl.models import reinitialize
from jaxssl.models.drop_path import fold_keys
from jaxssl.models.mae_decoder import MAEDecoder
from jaxssl.models.normed_tokens import require_normed_tokens
from jaxssl.models.vit import ViT
from jaxssl.ops import masking, patches

# The authors'. A patch of one colour has variance 0.
_EPSILON = 1e-6


@dataclasses.dataclass(frozen=True, kw_only=True)
class MAE:
  """Regresses hidden patches from a random subset of visible ones.

  loss = mean over images, hidden patches and pixels of (prediction - target)^2

  The encoder sees only the visible patches, int((1 - mask_ratio) N) of N, so
  its cost falls with their number; a light decoder sees all places. The target
  is each patch normalised by its own mean and (unbiased) variance. Downstream,
  the encoder sees all patches and the decoder is dropped.

  At initialisation the prediction does not know the target, and the expected
  loss with normalised pixels is 1 - 1/n + 2 d / (d + n) for n = p p C values a
  patch and decoder width d: the variance of the target plus that of a Xavier
  layer behind a LayerNorm.

  State: nothing.

  Attributes:
    encoder: a ViT whose tokens pass its final norm (pool 'cls', or fc_norm
      False). The authors fix its positions: position 'sincos_mae'.
    mask_ratio: share of the patches that are hidden.
    normalize_pixels: the target is the normalised patch; else its pixels as
      the encoder sees them.
    decoder_dim: d, width of the decoder.
    decoder_depth: number of its blocks.
    decoder_heads: its attention heads.
    channels: C of the images, which the decoder predicts.

  References:
    He et al., Masked Autoencoders Are Scalable Vision Learners, 2021,
    https://arxiv.org/abs/2111.06377; https://github.com/facebookresearch/mae.

  Differs from the authors' code: nothing that changes a number. The decoder
  computes its last norm and layer for the patches only, not the class token.
  """

  encoder: ViT
  mask_ratio: MaskRatio = 0.75
  normalize_pixels: bool = True
  decoder_dim: Count = 512
  decoder_depth: Count = 8
  decoder_heads: Count = 16
  channels: Count = RGB

  loss = row_sums.mean_loss

  def __post_init__(self) -> None:
    """Raises `UserError` for values that do not go together."""
    require_normed_tokens('mae', self.encoder)
    check_fields(self)
    if self.decoder_dim % self.decoder_heads:
      raise errors.UserError(
        f'method.decoder_dim {self.decoder_dim} is not divisible by '
        f'method.decoder_heads {self.decoder_heads}'
      )

  @property
  def loss_of_guessing(self) -> float | None:
    """Loss of a gray patch; of plain pixels it depends on the pictures."""
    values = self.channels * self.encoder.patch_size**2
    return guessing.patch_mean(values) if self.normalize_pixels else None

  @property
  def decoder(self) -> MAEDecoder:
    """The decoder, in the encoder's type and patch size."""
    return MAEDecoder(
      patch_size=self.encoder.patch_size,
      channels=self.channels,
      dim=self.decoder_dim,
      depth=self.decoder_depth,
      num_heads=self.decoder_heads,
      dtype=self.encoder.dtype,
      remat=self.encoder.remat,
    )

  def init(self, key: jax.Array, batch: Batch) -> tuple[PyTree, PyTree]:
    """See `Method.init`."""
    images = batch['views'][0]
    require_channels('mae', self.channels, images.shape[-1])
    encoder_key, decoder_key, redraw_key = jax.random.split(key, 3)
    (_, out), encoder = self.encoder.init_with_output(encoder_key, images)
    b, num_patches, _ = out['patches'].shape
    decoder = self.decoder.init(
      decoder_key,
      out['encoded'],
      # Every patch at its place, and all of them visible: how many are does not
      # change a parameter's shape.
      jnp.broadcast_to(jnp.arange(num_patches)[None], (b, num_patches)),
      grid=self.encoder.grid_of(images),
      num_visible=num_patches,
    )
    params = {'encoder': encoder['params'], 'decoder': decoder['params']}
    # Modules start as timm's do, the authors' start otherwise.
    return reinitialize.xavier(redraw_key, params), {}

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
    rows, columns = self.encoder.grid_of(images)
    # Masks and dropped paths are drawn from keys of their own.
    noise = masking.row_noise(fold_keys(keys, 0), rows * columns)
    prediction, hidden = self.reconstruct(
      params, images, noise, train=True, keys=fold_keys(keys, 1)
    )
    error = jnp.square(prediction - self.target(images)).mean(axis=-1)
    # Every row hides the same number of patches.
    return RowSums((error * hidden).sum(), hidden.sum(dtype=jnp.float32)), {}

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

  def reconstruct(
    self,
    params: PyTree,
    images: jax.Array,
    noise: jax.Array,
    *,
    train: bool = False,
    keys: jax.Array | None = None,
  ) -> tuple[jax.Array, jax.Array]:
    """Predicts all patches from those with the smallest noise.

    Args:
      params: parameters from `init`.
      images: float32 [b, H, W, C], normalised.
      noise: [b, N]; patches with the smallest values are visible.
      train: drop paths of the encoder, if it has them.
      keys: typed PRNG keys [b] for them.

    Returns:
      The prediction of `target`, float32 [b, N, p p C], and where patches were
      hidden, bool [b, N].

    Raises:
      jaxssl.errors.UserError: no patch would be visible.
    """
    # Rounded down, as the authors': 49 of 196.
    num_visible = int(noise.shape[1] * (1 - self.mask_ratio))
    if not num_visible:
      raise errors.UserError(
        f'method.mask_ratio {self.mask_ratio} leaves none of the '
        f'{noise.shape[1]} patches visible; use smaller patches, larger images '
        'or a smaller ratio'
      )
    mask = masking.mask_by_noise(noise, num_visible)
    # Hidden patches do not enter, not even as mask tokens. So the encoder costs
    # what it sees; and with them the paper's linear probe of a ViT-L falls from
    # 73.5 to 59.6 %.
    _, out = self.encoder.apply(
      {'params': params['encoder']}, images, train, keys=keys, keep=mask.keep
    )
    prediction = variables.apply(
      self.decoder,
      {'params': params['decoder']},
      out['encoded'],
      mask.restore,
      grid=self.encoder.grid_of(images),
      num_visible=num_visible,
    )
    return prediction, mask.hidden

  def target(self, images: jax.Array) -> jax.Array:
    """Returns what is predicted of images [b, H, W, C]: [b, N, p p C]."""
    target, mean, std = self._patches(images)
    return (target - mean) / std if self.normalize_pixels else target

  def to_pixels(self, prediction: jax.Array, images: jax.Array) -> jax.Array:
    """Returns pixels for a prediction of `target`, its inverse; to look at.

    With normalised pixels, the mean and deviation of each patch, which are not
    predicted, are those of `images`.

    Args:
      prediction: [b, N, p p C].
      images: [b, H, W, C], normalised.

    Returns:
      float32 [b, N, p p C], as `ops.patches.patchify(images)`.
    """
    _, mean, std = self._patches(images)
    return prediction * std + mean if self.normalize_pixels else prediction

  def _patches(
    self, images: jax.Array
  ) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Returns patches [b, N, p p C], their mean and deviation [b, N, 1]."""
    x = patches.patchify(images.astype(jnp.float32), self.encoder.patch_size)
    # Unbiased, as PyTorch's `var` by default. The epsilon stands inside of the
    # root, as the authors'.
    var = x.var(axis=-1, ddof=1, keepdims=True)
    return x, x.mean(axis=-1, keepdims=True), jnp.sqrt(var + _EPSILON)
