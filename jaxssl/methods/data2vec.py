"""data2vec: from a masked image, a slow network's features of the whole one."""

import dataclasses

from flax import linen as nn
import jax
import jax.numpy as jnp

from jaxssl import errors
from jaxssl.fields import Count, Fraction, Positive, check_fields
from jaxssl.methods import block_masks, row_sums, spread, variables
from jaxssl.methods import momentum as momentum_lib
from jaxssl.methods.base import Batch, PyTree, RowSums
from jaxssl.models import reinitialize
from jaxssl.models.drop_path import fold_keys
from jaxssl.models.normed_tokens import require_mask_token
from jaxssl.models.vit import ViT
from jaxssl.ops import schedules
from jaxssl.ops.tokens import standardize, take_tokens


@dataclasses.dataclass(frozen=True, kw_only=True)
class Data2Vec:
  """Regresses features of hidden patches that a slow network sees whole.

  Rectangles of patches are hidden (`ops.masking.block_mask`). With t_l the
  output of block l of the slow encoder on the whole image, each token
  normalised over its D numbers,

    t = normalise(mean over the last `num_blocks` blocks l of t_l)
    loss = mean over hidden patches of the global batch and D of
           f(W token + b - t),  f(d) = d² / 2β for |d| < β, |d| - β/2 beyond

  and, after the optimizer and with the new parameters,

    slow <- m slow + (1 - m) encoder

  At initialisation predictions are small and targets have variance 1: the loss
  is about E f(N(0, 1)) = 0.247 for β = 2.

  Metrics: `target_spread` (`methods.spread`), in [0, 1], 0 if all targets are
  alike; `masked_share` of the patches.

  State: `slow`, the parameters of the slow encoder.

  Attributes:
    encoder: a ViT with `use_mask_token` whose tokens pass its final norm. The
      authors: position 'relative', layer_scale 1e-4 and drop_path 0.25 (ViT-B).
    num_masked: largest number of hidden patches; 120 of 14x14.
    min_block: smallest number of patches in a rectangle.
    num_blocks: how many of the last blocks make the target.
    beta: β, where the loss turns from a square to a line.
    momentum: m, a number or a schedule.

  References:
    Baevski et al., data2vec: A General Framework for Self-supervised Learning
    in Speech, Vision and Language, 2022, https://arxiv.org/abs/2202.03555;
    https://github.com/facebookresearch/data2vec_vision.

  Differs from the authors' code: the mean is over the hidden patches of the
  global batch instead of the average of each device's mean, so it does not
  depend on the number of devices; keys have a bias, on which no output depends.
  """

  encoder: ViT
  num_masked: Count = 120
  min_block: Count = 16
  num_blocks: Count = 6
  beta: Positive = 2.0
  momentum: Fraction | schedules.Schedule = 0.9998

  loss = row_sums.mean_loss

  def __post_init__(self) -> None:
    """Raises `UserError` for values that do not go together."""
    require_mask_token('data2vec', self.encoder)
    check_fields(self)
    if self.num_blocks > self.encoder.depth:
      raise errors.UserError(
        f'method.num_blocks is {self.num_blocks}, but the encoder has '
        f'{self.encoder.depth} blocks'
      )

  @property
  def head(self) -> nn.Dense:
    """From tokens to predicted features."""
    # float32 whatever the encoder's type: what it makes is compared at once.
    return nn.Dense(self.encoder.dim, dtype=jnp.float32)

  def init(self, key: jax.Array, batch: Batch) -> tuple[PyTree, PyTree]:
    """See `Method.init`."""
    images = batch['views'][0]
    encoder_key, head_key, redraw_key = jax.random.split(key, 3)
    (_, out), encoder = self.encoder.init_with_output(encoder_key, images)
    block_masks.check(self.num_masked, images, out['patches'].shape[1])
    params = {
      'encoder': encoder['params'],
      'head': self.head.init(head_key, out['patches'])['params'],
    }
    # As BEiT's, on whose code the authors' is built.
    params = reinitialize.truncated_normal(redraw_key, params)
    return params, {'slow': {'encoder': params['encoder']}}

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
    del step, axis_name
    images = batch['views'][0]
    # Masks and dropped paths are drawn from keys of their own.
    mask = self.draw_mask(fold_keys(keys, 0), images)
    prediction, places, hidden = self.predict(
      params, images, mask, train=True, keys=fold_keys(keys, 1)
    )
    target = self.target(state, images)
    error = self._distance(prediction - take_tokens(target, places))
    # Rows hide different numbers of patches.
    error = (error.mean(axis=-1) * hidden).sum()
    return RowSums(error, hidden.sum(), spread.sums(target)), {}

  def summarize(
    self, sums: RowSums, stats: PyTree
  ) -> tuple[dict[str, jax.Array], PyTree]:
    """See `RowWise.summarize`."""
    del stats
    metrics = {
      'target_spread': spread.of(sums.seen),
      'masked_share': sums.weight / sums.seen['count'],
    }
    return metrics, ()

  def update(
    self, params: PyTree, state: PyTree, carry: PyTree, *, step: jax.Array
  ) -> tuple[PyTree, PyTree]:
    """See `Method.update`."""
    del carry
    slow = momentum_lib.move(
      state['slow']['encoder'],
      params['encoder'],
      schedules.value_at(self.momentum, step),
    )
    return params, {'slow': {'encoder': slow}}

  def export(self, params: PyTree, state: PyTree) -> dict[str, PyTree]:
    """See `Method.export`; the trained encoder, as the authors'."""
    return {'encoder': variables.tower('encoder', params, {})}

  def draw_mask(self, keys: jax.Array, images: jax.Array) -> jax.Array:
    """Returns which patches of images are hidden, bool [b, N].

    Args:
      keys: typed PRNG keys [b], one per row.
      images: [b, H, W, 3].
    """
    return block_masks.draw(
      keys,
      self.encoder.grid_of(images),
      num_masked=self.num_masked,
      min_block=self.min_block,
    )

  def predict(
    self,
    params: PyTree,
    images: jax.Array,
    mask: jax.Array,
    *,
    train: bool = False,
    keys: jax.Array | None = None,
  ) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Predicts the features of hidden patches.

    Args:
      params: parameters from `init`.
      images: float32 [b, H, W, 3], normalised.
      mask: bool [b, N], at most `num_masked` of a row True.
      train: drop paths.
      keys: typed PRNG keys [b] for them.

    Returns:
      float32 [b, num_masked, D], the patches that they are of, int32
      [b, num_masked], and which of those are hidden (`block_masks`).
    """
    return block_masks.predict(
      self.encoder,
      self.head,
      params,
      images,
      mask,
      num_masked=self.num_masked,
      train=train,
      keys=keys,
    )

  def target(self, state: PyTree, images: jax.Array) -> jax.Array:
    """Returns what is predicted of images, float32 [b, N, D].

    Args:
      state: from `init` or `update`.
      images: float32 [b, H, W, 3], normalised.
    """
    _, out = variables.apply(
      self.encoder, {'params': state['slow']['encoder']}, images
    )
    depth, num_patches = self.encoder.depth, out['patches'].shape[1]
    # Without the class token and registers, which stand in front.
    blocks = [
      standardize(out[f'block{i:02d}'][:, -num_patches:])
      for i in range(depth - self.num_blocks, depth)
    ]
    # The mean of several blocks is easier to predict than the last one alone,
    # and better (paper, section 5.3).
    mean = sum(blocks[1:], blocks[0]) / len(blocks)
    return jax.lax.stop_gradient(standardize(mean))

  def _distance(self, d: jax.Array) -> jax.Array:
    square, line = d**2 / (2 * self.beta), jnp.abs(d) - self.beta / 2
    return jnp.where(jnp.abs(d) < self.beta, square, line)
