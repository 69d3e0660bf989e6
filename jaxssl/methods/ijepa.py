"""I-JEPA: from a part of an image, what a slow network makes of the rest."""

import dataclasses
from typing import Annotated

import jax
import jax.numpy as jnp
import optax

from jaxssl import errors
from jaxssl.fields import Count, Fraction, Natural, Range, check_fields
from jaxssl.methods import momentum as momentum_lib
from jaxssl.methods import row_sums, spread, variables
from jaxssl.methods.base import Batch, PyTree, RowSums
from jaxssl.models import reinitialize
from jaxssl.models.drop_path import fold_keys
from jaxssl.models.jepa_predictor import JEPAPredictor
from jaxssl.models.normed_tokens import require_normed_tokens
from jaxssl.models.vit import ViT
from jaxssl.ops import multi_block, schedules
from jaxssl.ops.tokens import standardize, take_tokens

_Share = Annotated[float, Range(0, 1, without_low=True)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class IJEPA:
  """Predicts a slow network's tokens of blocks from those of a context.

  `ops.multi_block` draws M target blocks B_m and a context without them. With
  t the tokens of the whole image from the slow encoder, each normalised over
  its D numbers, and p_m the predictor's tokens at the places of B_m,

    loss = mean over images, m, places of B_m and D of
           huber(p_m - t),  huber(d) = d²/2 for |d| <= 1, |d| - 1/2 beyond

  and, after the optimizer and with the new parameters,

    slow <- m slow + (1 - m) encoder

  The encoder sees the patches of the context only. There is no loss in pixels,
  so nothing is spent on what cannot be foreseen; and no augmentation but a
  crop. What keeps the tokens from becoming all the same is that the slow
  network is slow, and the predictor: watch `target_spread`.

  At initialisation predictions are small and targets have variance 1: the loss
  is about E huber(N(0, 1)) = 0.425.

  Metrics: `target_spread` (`methods.spread`), in [0, 1], 0 if all targets are
  alike.

  State: `slow`, the parameters of the slow encoder.

  Attributes:
    encoder: a ViT without class token whose tokens pass its final norm
      (class_token False, pool 'avg', fc_norm False). The authors fix its
      positions: position 'sincos_mae'.
    num_targets: M.
    max_context: K over the number of patches; the context's patches beyond are
      not seen.
    min_context: patches that a context must exceed; where it would not, the
      last targets are not cut out of it.
    predictor_dim: width of the predictor.
    predictor_depth: number of its blocks.
    predictor_heads: its attention heads.
    momentum: m, a number or a schedule; from 0.996 to 1 along a line.

  References:
    Assran et al., Self-Supervised Learning from Images with a Joint-Embedding
    Predictive Architecture, 2023, https://arxiv.org/abs/2301.08243;
    https://github.com/facebookresearch/ijepa.

  Differs from the authors' code: the numbers of patches are fixed, see
  `ops.multi_block.multi_block`.
  """

  encoder: ViT
  num_targets: Count = 4
  max_context: _Share = 0.3
  min_context: Natural = 10
  predictor_dim: Count = 384
  predictor_depth: Count = 12
  predictor_heads: Count = 12
  momentum: Fraction | schedules.Schedule = 0.996

  loss = row_sums.mean_loss

  def __post_init__(self) -> None:
    """Raises `UserError` for values that do not go together."""
    require_normed_tokens('ijepa', self.encoder)
    check_fields(self)
    if self.encoder.class_token or self.encoder.num_registers:
      raise errors.UserError(
        "method 'ijepa' needs an encoder of patches alone: class_token=False, "
        "num_registers=0, pool='avg' and fc_norm=False"
      )
    if self.predictor_dim % self.predictor_heads:
      raise errors.UserError(
        f'method.predictor_dim {self.predictor_dim} is not divisible by '
        f'method.predictor_heads {self.predictor_heads}'
      )

  @property
  def predictor(self) -> JEPAPredictor:
    """The predictor, in the encoder's type."""
    return JEPAPredictor(
      dim=self.predictor_dim,
      depth=self.predictor_depth,
      num_heads=self.predictor_heads,
      dtype=self.encoder.dtype,
      remat=self.encoder.remat,
    )

  def init(self, key: jax.Array, batch: Batch) -> tuple[PyTree, PyTree]:
    """See `Method.init`."""
    images = batch['views'][0]
    encoder_key, predictor_key, redraw_key = jax.random.split(key, 3)
    (_, out), encoder = self.encoder.init_with_output(encoder_key, images)
    rows = len(images)
    # How many patches there are does not change a parameter's shape.
    places = jnp.zeros((rows, 1), jnp.int32)
    predictor = self.predictor.init(
      predictor_key,
      out['patches'][:, :1],
      places,
      jnp.ones((rows, 1), bool),
      places[:, None],
      jnp.ones(1, bool),
      grid=self.encoder.grid_of(images),
    )
    params = reinitialize.normal(
      redraw_key,
      {'encoder': encoder['params'], 'predictor': predictor['params']},
    )
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
    del axis_name
    images = batch['views'][0]
    mask = self.masks(self.encoder.grid_of(images), fold_keys(keys, 0), step)
    prediction = self.predict(
      params, images, mask, train=True, keys=fold_keys(keys, 1)
    )
    tokens = self.target(state, images)
    rows, m, length = mask.targets.shape
    wanted = take_tokens(tokens, mask.targets.reshape(rows, m * length))
    wanted = wanted.reshape(prediction.shape)
    error = optax.losses.huber_loss(prediction, wanted).mean(axis=-1)
    # The same number of places in every block and row.
    error = (error * mask.counted[None, None]).sum(axis=-1)
    loss = (error / mask.counted.sum()).mean(axis=-1).sum()
    weight = jnp.asarray(rows, jnp.float32)
    return RowSums(loss, weight, spread.sums(tokens)), {}

  def summarize(
    self, sums: RowSums, stats: PyTree
  ) -> tuple[dict[str, jax.Array], PyTree]:
    """See `RowWise.summarize`."""
    del stats
    return {'target_spread': spread.of(sums.seen)}, ()

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
    """See `Method.export`; the slow encoder, as the authors evaluate."""
    del params
    return {'encoder': variables.tower('encoder', state['slow'], {})}

  def masks(
    self, grid: tuple[int, int], keys: jax.Array, step: jax.Array
  ) -> multi_block.MultiBlock:
    """Draws the context and the targets of each row.

    Args:
      grid: (rows, columns) of patches.
      keys: typed PRNG keys [b].
      step: number of the step. Sizes follow from it alone, as from the authors'
        counter, and so are the same for all rows, on any number of devices.

    Raises:
      jaxssl.errors.UserError: if the grid is too small for a target.
    """
    if not multi_block.fits(grid):
      raise errors.UserError(
        f"method 'ijepa' needs more than {grid[0]}x{grid[1]} patches; use "
        'smaller patches or larger images'
      )
    return multi_block.multi_block(
      jax.random.fold_in(jax.random.key(0), step),
      keys,
      grid,
      num_context=max(1, int(grid[0] * grid[1] * self.max_context)),
      num_targets=self.num_targets,
      min_context=self.min_context,
    )

  def predict(
    self,
    params: PyTree,
    images: jax.Array,
    mask: multi_block.MultiBlock,
    *,
    train: bool = False,
    keys: jax.Array | None = None,
  ) -> jax.Array:
    """Predicts `target` at the places of the target blocks.

    Args:
      params: parameters from `init`.
      images: float32 [b, H, W, 3], normalised.
      mask: from `masks`.
      train: drop paths of the encoder, if it has them.
      keys: typed PRNG keys [b] for them.

    Returns:
      float32 [b, M, T, D].
    """
    _, out = self.encoder.apply(
      {'params': params['encoder']},
      images,
      train,
      keys=keys,
      keep=mask.context,
      present=mask.present,
    )
    return variables.apply(
      self.predictor,
      {'params': params['predictor']},
      out['patches'],
      *mask,
      grid=self.encoder.grid_of(images),
    )

  def target(self, state: PyTree, images: jax.Array) -> jax.Array:
    """Returns the slow encoder's normalised tokens, float32 [b, N, D].

    Args:
      state: from `init` or `update`.
      images: float32 [b, H, W, 3], normalised.
    """
    _, out = variables.apply(
      self.encoder, {'params': state['slow']['encoder']}, images
    )
    # Moved, not trained: it would learn to be easily foreseen.
    # The final norm has scales, which could shrink; this one has none.
    return standardize(jax.lax.stop_gradient(out['patches']))
