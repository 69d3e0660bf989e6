"""iBOT: DINO, and the same for hidden patches."""

from collections.abc import Sequence
import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxssl.fields import Count, Fraction, NonNegative, Positive, check_fields
from jaxssl.methods import (
  block_masks,
  masked_views,
  multi_crop,
  row_sums,
  variables,
)
from jaxssl.methods import momentum as momentum_lib
from jaxssl.methods.base import Batch, PyTree, RowSums
from jaxssl.models import DINOHead, Net
from jaxssl.models.drop_path import fold_keys
from jaxssl.models.vit import ViT
from jaxssl.ops import masking, schedules
from jaxssl.ops.distillation import (
  distillation,
  entropy,
  masked_distillation,
)
from jaxssl.ops.tokens import take_tokens

# The authors' head of the published runs.
head = functools.partial(DINOHead, out_dim=8192, norm_last_layer=False)


class Logits(NamedTuple):
  """What a network says of a picture.

  Attributes:
    classes: float32 [V, b, K], from the features of each view.
    patches: float32 [G, b, N, K] of patches of the large views; of the student,
      [G, b, M, K] of the hidden ones.
  """

  classes: jax.Array
  patches: jax.Array


@dataclasses.dataclass(frozen=True, kw_only=True)
class IBOT:
  """Self-distillation of pictures, as DINO, and of hidden patches.

  The student sees the first `num_global` G views with blocks of patches hidden
  (`ops.masking.ratio_mask`: of half of them, 10 to 50 % of the patches) and the
  other views as they are; the slow network, the teacher, sees the G views
  without masks. One head serves features and patch tokens. With logits s_v and
  t_i of features, and s_im and t_im of patch m of view i,

    p_i = softmax((t_i - c) / T_t)       p_im = softmax((t_im - c') / T_p)
    loss = mean over the pairs (i, v), v != i, of mean_b
             -sum_k p_i[k] log softmax(s_v / T_s)[k]
           + w mean_i mean_b mean over the hidden patches m of
             -sum_k p_im[k] log softmax(s_im / T_s)[k]

  where a view without hidden patches counts as 0. At initialisation it is
  (1 + w S) ln K for a share S of masked views. After the optimizer, with the
  new parameters,

    slow <- m slow + (1 - m) student
    c <- 0.9 c + 0.1 mean over the global batch and the G views of t
    c' <- 0.9 c' + 0.1 mean over these and all patches, hidden or not, of t

  Shapes are static: M places are kept for hidden patches, as many as the
  largest mask has, and places without one have the weight 0. Rows draw their
  masks from keys of their own.

  Metrics: `class_loss` and `patch_loss`, the two terms; `masked_share` of the
  patches; signs of collapse as DINO's.

  State: `slow` (parameters of the teacher), `center` [1, K], `patch_center`.

  Attributes:
    encoder: a ViT with `use_mask_token` whose tokens pass its final norm.
    head: `DINOHead` without BatchNorm, which would see places without a hidden
      patch. Freeze its last layer for the first epochs by a rule of the
      optimizer: `{'match': 'head/last_layer', 'freeze_epochs': 1}`.
    num_global: G, the first views, which the slow network sees.
    student_temperature: T_s.
    teacher_temperature: T_t, a number or a schedule.
    patch_temperature: T_p, the same of patches.
    momentum: m, a number or a schedule; from 0.996 to 1 along a cosine.
    center_momentum: weight of the old centres.
    patch_weight: w.
    mask_share: S, share of the G views that are masked.
    mask_ratio: least and largest share of the patches that a mask hides.

  Raises:
    UserError: for an encoder, a head or numbers that do not serve.

  References:
    Zhou et al., iBOT: Image BERT Pre-Training with Online Tokenizer, 2021,
    https://arxiv.org/abs/2111.07832 (equations 1 to 3, algorithm 1);
    main_ibot.py and loader.py of https://github.com/bytedance/ibot.

  Differs from the authors' code: the mask token starts from a normal of
  deviation 0.02, theirs from zero.
  """

  encoder: ViT
  head: DINOHead = dataclasses.field(default_factory=head)
  num_global: Count = 2
  student_temperature: Positive = 0.1
  teacher_temperature: Positive | schedules.Schedule = 0.04
  patch_temperature: Positive | schedules.Schedule = 0.04
  momentum: Fraction | schedules.Schedule = 0.996
  center_momentum: Fraction = 0.9
  patch_weight: NonNegative = 1.0
  mask_share: Fraction = 0.5
  mask_ratio: tuple[float, float] = (0.1, 0.5)

  loss = row_sums.mean_loss

  def __post_init__(self) -> None:
    """Raises `UserError` for values that do not go together."""
    masked_views.check('ibot', self.encoder, self.head, self.mask_ratio)
    check_fields(self)

  def init(self, key: jax.Array, batch: Batch) -> tuple[PyTree, PyTree]:
    """See `Method.init`."""
    net = Net(self.encoder, self.head)
    logits, initial = net.init_with_output(key, batch['views'][0], train=False)
    params = initial['params']
    # Two arrays, as the train step takes those that it is given for its own.
    centers = {
      name: jnp.zeros((1, logits.shape[-1]))
      for name in ('center', 'patch_center')
    }
    return params, {'slow': params, **centers}

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
    views = batch['views']
    multi_crop.check_views('iBOT', len(views), self.num_global)
    large = views[: self.num_global]
    masked_views.check_sizes(large)
    masks = self.draw_masks(fold_keys(keys, 0), large)
    count = masking.most_hidden(self.encoder.grid_of(large[0]), self.mask_ratio)
    places, hidden = block_masks.hidden_first(masks, count)  # [G, b, M]
    keys = fold_keys(keys, 1)
    student = self.student(params, views, masks, places, keys=keys)
    teacher = self.teacher(state['slow'], large, keys=keys)
    losses, means = self.compare(state, student, teacher, places, hidden, step)
    rows = jnp.asarray(len(views[0]), jnp.float32)
    means |= {'masked_share': masks.mean(), **losses}
    # Means times rows are sums, which parts and devices can add up.
    seen = jax.tree.map(lambda mean: rows * mean, means)
    loss = losses['class_loss'] + self.patch_weight * losses['patch_loss']
    return RowSums(rows * loss, rows, seen), {}

  def compare(
    self,
    state: PyTree,
    student: Logits,
    teacher: Logits,
    places: jax.Array,
    hidden: jax.Array,
    step: jax.Array,
  ) -> tuple[dict[str, jax.Array], dict[str, jax.Array]]:
    """Returns the two losses, and other means over the rows at hand.

    Args:
      state: has the centres.
      student: logits of all views, and of the patches at `places`.
      teacher: logits of the large views and of all their patches.
      places: int32 [G, b, M].
      hidden: float32 [G, b, M], 0 where the place only fills up.
      step: as in `Method.loss`.
    """
    temperature = schedules.value_at(self.teacher_temperature, step)
    targets = jax.nn.softmax(
      (teacher.classes - state['center'][None]) / temperature
    )
    # Only these become targets; the centre is of all patches.
    chosen = jnp.take_along_axis(teacher.patches, places[..., None], axis=2)
    temperature = schedules.value_at(self.patch_temperature, step)
    patch_targets = jax.nn.softmax(
      (chosen - state['patch_center'][None, None]) / temperature
    )
    losses = {
      'class_loss': distillation(
        targets, student.classes, temperature=self.student_temperature
      ),
      'patch_loss': masked_distillation(
        patch_targets,
        student.patches,
        hidden,
        temperature=self.student_temperature,
      ),
    }
    return losses, {
      'entropy': entropy(targets).mean(),
      'target': targets.mean((0, 1)),
      'logits': teacher.classes.mean((0, 1)),
      'patch_logits': teacher.patches.mean((0, 1, 2)),
    }

  def summarize(
    self, sums: RowSums, stats: PyTree
  ) -> tuple[dict[str, jax.Array], PyTree]:
    """See `RowWise.summarize`."""
    del stats
    means = jax.tree.map(lambda x: x / sums.weight, sums.seen)
    names = ('class_loss', 'patch_loss', 'masked_share')
    metrics = {
      **{name: means[name] for name in names},
      'teacher_entropy': means['entropy'],
      'teacher_information': entropy(means['target']) - means['entropy'],
    }
    carry = {
      'center': means['logits'][None],
      'patch_center': means['patch_logits'][None],
    }
    return metrics, carry

  def update(
    self, params: PyTree, state: PyTree, carry: PyTree, *, step: jax.Array
  ) -> tuple[PyTree, PyTree]:
    """See `Method.update`."""
    momentum = schedules.value_at(self.momentum, step)
    slow = momentum_lib.move(state['slow'], params, momentum)
    # The centres of the next step: targets of this one are made with the old.
    centers = {name: state[name] for name in carry}
    return params, {
      'slow': slow,
      **momentum_lib.move(centers, carry, self.center_momentum),
    }

  def export(self, params: PyTree, state: PyTree) -> dict[str, PyTree]:
    """See `Method.export`; the teacher's encoder, as the authors evaluate."""
    del params
    return {'encoder': {'params': state['slow']['encoder']}}

  def draw_masks(
    self, keys: jax.Array, views: Sequence[jax.Array]
  ) -> jax.Array:
    """Returns which patches of the large views are hidden, bool [G, b, N].

    Args:
      keys: typed PRNG keys [b], one per row.
      views: images [b, H, W, 3], G of one size.
    """
    grid = self.encoder.grid_of(views[0])
    draw = functools.partial(
      masking.ratio_mask,
      grid=grid,
      share=self.mask_share,
      ratio=self.mask_ratio,
      # The authors': 16 of 14 x 14 patches.
      min_block=max(min(grid) // 3, 1) ** 2,
    )
    return jnp.stack(
      [jax.vmap(draw)(fold_keys(keys, v)) for v in range(len(views))]
    )

  def student(
    self,
    params: PyTree,
    views: Sequence[jax.Array],
    masks: jax.Array,
    places: jax.Array,
    *,
    keys: jax.Array,
  ) -> Logits:
    """Returns logits of all views, and of patches of the large ones.

    Args:
      params: trainable variables.
      views: images [b, H_v, W_v, 3], the large ones first.
      masks: bool [G, b, N], True for patches that the encoder does not see.
      places: int32 [G, b, M], patches that are answered for.
      keys: typed PRNG keys [b], for drop path.
    """
    features, patches = masked_views.run(
      self.encoder, params, views, masks, keys=keys
    )
    # Before the head, which is wide, and the student's has a gradient.
    hidden = jax.vmap(take_tokens)(patches, places)
    return Logits(self._head(params, features), self._head(params, hidden))

  def teacher(
    self, slow: PyTree, views: Sequence[jax.Array], *, keys: jax.Array
  ) -> Logits:
    """Returns logits of views and all their patches, without gradient."""
    slow = jax.lax.stop_gradient(slow)
    encoder = momentum_lib.without_noise(self.encoder)
    features, patches = masked_views.run(encoder, slow, views, keys=keys)
    return Logits(self._head(slow, features), self._head(slow, patches))

  def _head(self, params: PyTree, x: jax.Array) -> jax.Array:
    return variables.apply(self.head, {'params': params['head']}, x, train=True)
