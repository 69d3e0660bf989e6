"""DINOv2: iBOT with heads of their own, even targets and spread features.

With an anchor for the patch features it is DINOv3's Gram anchoring.
"""

from collections.abc import Sequence
import dataclasses
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp

from jaxssl import errors
from jaxssl.fields import (
  Count,
  Fraction,
  Natural,
  NonNegative,
  Positive,
  check_fields,
)
from jaxssl.methods import (
  at_rest,
  block_masks,
  contrast,
  masked_views,
  multi_crop,
  variables,
  view_rows,
)
from jaxssl.methods import momentum as momentum_lib
from jaxssl.methods.base import Aux, Batch, PyTree
from jaxssl.models import DINOHead, positions
from jaxssl.models.drop_path import fold_keys
from jaxssl.models.vit import ViT
from jaxssl.ops import masking, schedules
from jaxssl.ops.assignment import sinkhorn
from jaxssl.ops.distillation import (
  distillation,
  entropy,
  masked_distillation,
)
from jaxssl.ops.gram import gram_distance
from jaxssl.ops.koleo import koleo
from jaxssl.ops.tokens import take_tokens

head = functools.partial(DINOHead, norm_last_layer=False)
_HEADS = ('head', 'patch_head')
# Smallest block of a mask, in patches; the authors'.
_MIN_BLOCK = 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class DINOv2:
  """Self-distillation of pictures and hidden patches, at scale.

  The student sees one of the first `num_global` G views of each picture, chosen
  at random, with blocks of patches hidden (`ops.masking.ratio_mask`), and the
  other views as they are; the slow network, the teacher, sees the G views
  without masks. Features and patch tokens have heads of their own. With logits
  s_v and t_i of features, and s_m and t_m of the hidden patches m of a picture,

    p = sinkhorn(t, T_t) over all (b, i)   p' = sinkhorn(t, T_t) over all (b, m)
    loss = mean over the pairs (i, v), v != i, of mean_b
             -sum_k p_i[k] log softmax(s_v / T_s)[k]
           + w / G mean_b mean_m
             -sum_k p'_m[k] log softmax(s_m / T_s)[k]
           + w' sum_i koleo(student's features of view i)
           + w'' mean_i mean_b gram_distance(student's patches of view i,
                                             anchor's patches of crop i)

  `ops.assignment.sinkhorn` gives every prototype its share of the global batch
  instead of a centre, and `ops.koleo.koleo` pushes each feature away from its
  nearest neighbour; both are right on any number of devices. At initialisation
  the two cross entropies are (1 + w / G) ln K. After the optimizer, with the
  new parameters, slow <- m slow + (1 - m) student.

  The last term is DINOv3's Gram anchoring (w'' = 0: none). In long runs patch
  features grow noisy while those of pictures still get better; the anchor, an
  earlier teacher, keeps how patches resemble each other
  (`ops.gram.gram_distance`), not what they are. It sees the large views as they
  were cropped, larger and in their own colours, which the recipe 'dinov3'
  keeps, and its patches are resized to the student's grid.

  Shapes are static: a picture has M places for hidden patches, as many as the
  largest mask has; places without one have the weight 0, in Sinkhorn's sums
  too.

  Metrics: the terms `class_loss`, `patch_loss` (without w), `koleo` and `gram`;
  `hidden_patches`, their mean number; `teacher_entropy`, the mean entropy of p,
  in [0, ln K].

  State: `slow`, parameters of the teacher; `anchor`, those of its encoder as
  they were, where there is one.

  Attributes:
    encoder: a ViT with `use_mask_token` whose tokens pass its final norm. The
      authors: layer_scale 1e-5, drop_path 0.3 with drop_path_uniform; registers
      and act 'swiglu' are its options.
    head: `DINOHead` without BatchNorm; the head of patches has the same sizes.
      Freeze the last layers for the first epochs by a rule of the optimizer:
      `{'match': 'head/last_layer', 'freeze_epochs': 1}`.
    num_global: G, the first views, which the slow network sees.
    student_temperature: T_s.
    teacher_temperature: T_t, a number or a schedule.
    iterations: how often `sinkhorn` divides columns and rows.
    momentum: m, a number or a schedule; from 0.992 to 1 along a cosine.
    patch_weight: w.
    koleo_weight: w'.
    koleo_group: rows among which neighbours are looked for, which must divide
      the batch; 0 for all. The authors have the 64 of a GPU.
    mask_ratio: least and largest share of the patches that a mask hides.
    gram_weight: w'', a number or a schedule; 0 for no anchor.
    gram_start: steps after which the anchor first becomes the teacher as it is
      then. Until then it is what the run began with: trained weights, in a
      stage that starts from them (`train.init_encoder`).
    gram_every: it does so after every so many steps; 0 for never.
    gram_updates: how often at most; None for no limit. DINOv3: after 10,000
      steps, three times.

  Raises:
    UserError: for an encoder, a head or numbers that do not serve.

  References:
    Oquab et al., DINOv2: Learning Robust Visual Features without Supervision,
    2023, https://arxiv.org/abs/2304.07193 (section 4); dinov2/train and
    dinov2/loss of https://github.com/facebookresearch/dinov2.
    Siméoni et al., DINOv3, 2025, https://arxiv.org/abs/2508.10104 (section 4);
    dinov3/train/ssl_meta_arch.py of https://github.com/facebookresearch/dinov3.

  Differs from the authors' code: exactly one large view of a picture is masked,
  where theirs mask a random half of the large views of a GPU, with a share of
  the patches drawn from bins; so half of the places for hidden patches would be
  empty. Sinkhorn and masks are of the global batch. Paths are dropped by rows,
  not by a subset of the batch. The mask token starts from a normal of deviation
  0.02, theirs from zero.
  """

  encoder: ViT
  head: DINOHead = dataclasses.field(default_factory=head)
  num_global: Count = 2
  student_temperature: Positive = 0.1
  teacher_temperature: Positive | schedules.Schedule = 0.07
  iterations: Count = 3
  momentum: Fraction | schedules.Schedule = 0.992
  patch_weight: NonNegative = 1.0
  koleo_weight: NonNegative = 0.1
  koleo_group: Natural = 0
  mask_ratio: tuple[float, float] = (0.1, 0.5)
  gram_weight: NonNegative | schedules.Schedule = 0.0
  gram_start: Natural = 0
  gram_every: Natural = 0
  gram_updates: Count | None = None

  loss = contrast.loss

  @property
  def anchored(self) -> bool:
    """Whether an anchor holds the patch features."""
    return self.gram_weight != 0

  def __post_init__(self) -> None:
    """Raises `UserError` for values that do not go together."""
    masked_views.check('dinov2', self.encoder, self.head, self.mask_ratio)
    check_fields(self)
    if not self.gram_every and (self.gram_start or self.gram_updates):
      raise errors.UserError(
        'method.gram_start and method.gram_updates say when the anchor becomes '
        'the teacher, which it never does while method.gram_every is 0'
      )

  def init(self, key: jax.Array, batch: Batch) -> tuple[PyTree, PyTree]:
    """See `Method.init`."""
    encoder_key, *head_keys = jax.random.split(key, 3)
    (features, _), encoder = self.encoder.init_with_output(
      encoder_key, batch['views'][0]
    )
    params = {'encoder': encoder['params']}
    for name, head_key in zip(_HEADS, head_keys, strict=True):
      made = self.head.init(head_key, features, train=False)
      params[name] = made['params']
    state = {'slow': params}
    if self.anchored:
      state['anchor'] = {'encoder': params['encoder']}
    return params, state

  def embed(
    self,
    params: PyTree,
    state: PyTree,
    batch: Batch,
    *,
    keys: jax.Array,
    step: jax.Array,
    axis_name: str | None = None,
  ) -> tuple[PyTree, PyTree]:
    """See `Contrastive.embed`."""
    del step, axis_name
    views = batch['views']
    multi_crop.check_views('DINOv2', len(views), self.num_global)
    large = views[: self.num_global]
    masked_views.check_sizes(large)
    masks = self.draw_masks(fold_keys(keys, 0), large)
    count = masking.most_hidden(self.encoder.grid_of(large[0]), self.mask_ratio)
    # Places of all G N patches of a row, as one view of it has a mask.
    places, hidden = block_masks.hidden_first(
      _rows_first(masks), count
    )  # [b, M]
    keys = fold_keys(keys, 1)
    slow = jax.lax.stop_gradient(state['slow'])
    quiet = momentum_lib.without_noise(self.encoder)
    student = masked_views.run(self.encoder, params, views, masks, keys=keys)
    teacher = masked_views.run(quiet, slow, large, keys=keys)
    embeddings: dict[str, Any] = {
      name: {
        'features': [*features],
        # Before the head, which is wide.
        'patches': take_tokens(_rows_first(patches), places),
      }
      for name, (features, patches) in (
        ('student', student),
        ('teacher', teacher),
      )
    }
    if self.anchored:
      embeddings['gram'] = self._gram(state['anchor'], batch, student[1], keys)
    return {**embeddings, 'hidden': hidden}, {}

  def compare(
    self,
    params: PyTree,
    state: PyTree,
    embeddings: PyTree,
    stats: PyTree,
    *,
    step: jax.Array,
    axis_name: str | None = None,
  ) -> tuple[jax.Array, Aux]:
    """See `Contrastive.compare`."""
    del stats
    student, hidden = embeddings['student'], embeddings['hidden']
    targets, patch_targets = self._targets(
      state['slow'], embeddings['teacher'], hidden, step, axis_name
    )
    logits = self._head('head', params, jnp.stack(student['features']))
    losses = {
      'class_loss': distillation(
        targets, logits, temperature=self.student_temperature
      ),
      'patch_loss': masked_distillation(
        patch_targets,
        self._head('patch_head', params, student['patches']),
        hidden,
        temperature=self.student_temperature,
      )
      # Views without a mask count as 0.
      / self.num_global,
      # A view at a time: two views of a picture shall not flee each other.
      'koleo': sum(
        (
          koleo(features, group=self.koleo_group, axis_name=axis_name)
          for features in student['features'][: self.num_global]
        ),
        start=jnp.zeros(()),
      ),
    }
    loss = (
      losses['class_loss']
      + self.patch_weight * losses['patch_loss']
      + self.koleo_weight * losses['koleo']
    )
    if self.anchored:
      losses['gram'] = embeddings['gram'].mean()
      loss += schedules.value_at(self.gram_weight, step) * losses['gram']
    metrics = {
      **losses,
      'hidden_patches': hidden.sum(-1).mean(),
      'teacher_entropy': entropy(targets).mean(),
    }
    return loss, Aux(metrics, ())

  def update(
    self, params: PyTree, state: PyTree, carry: PyTree, *, step: jax.Array
  ) -> tuple[PyTree, PyTree]:
    """See `Method.update`."""
    del carry
    momentum = schedules.value_at(self.momentum, step)
    new = {'slow': momentum_lib.move(state['slow'], params, momentum)}
    if self.anchored:
      teacher = {'encoder': new['slow']['encoder']}
      # All of it or nothing: a factor, as only the running step knows.
      stays = 1.0 - self._is_due(step + 1).astype(jnp.float32)
      new['anchor'] = momentum_lib.move(state['anchor'], teacher, stays)
    return params, new

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
    draw = functools.partial(
      masking.ratio_mask,
      grid=self.encoder.grid_of(views[0]),
      share=1.0,
      ratio=self.mask_ratio,
      min_block=_MIN_BLOCK,
    )
    mask = jax.vmap(draw)(fold_keys(keys, 0))
    chosen = jax.vmap(functools.partial(_one_of, count=len(views)))(
      fold_keys(keys, 1)
    )
    return chosen.T[:, :, None] & mask[None]

  def _gram(
    self, anchor: PyTree, batch: Batch, patches: jax.Array, keys: jax.Array
  ) -> jax.Array:
    """Returns how far the patches resemble each other in another way, [b].

    Args:
      anchor: parameters.
      batch: has the views, and the crops of the large ones.
      patches: the student's [G, b, N, D]; also those with the mask's token, as
        the authors'.
      keys: typed PRNG keys [b].
    """
    crops = at_rest.crops(batch, 'dinov3', self.num_global)
    quiet = momentum_lib.without_noise(self.encoder)
    anchor = jax.lax.stop_gradient(anchor)
    _, targets = masked_views.run(quiet, anchor, crops, keys=keys)
    old = self.encoder.grid_of(crops[0])
    new = self.encoder.grid_of(batch['views'][0])
    return gram_distance(patches, _resized(targets, old, new)).mean(0)

  def _is_due(self, finished: jax.Array) -> jax.Array:
    """Returns whether the anchor becomes the teacher after so many steps."""
    if not self.gram_every:
      return jnp.zeros((), bool)
    first = max(math.ceil(self.gram_start / self.gram_every), 1)
    turn = finished // self.gram_every - first
    due = (finished % self.gram_every == 0) & (turn >= 0)
    if self.gram_updates is not None:
      due &= turn < self.gram_updates
    return due

  def _targets(
    self,
    slow: PyTree,
    embeddings: PyTree,
    hidden: jax.Array,
    step: jax.Array,
    axis_name: str | None,
  ) -> tuple[jax.Array, jax.Array]:
    """Returns targets [G, b, K] of views and [b, M, K] of hidden patches."""
    assign = functools.partial(
      sinkhorn,
      epsilon=schedules.value_at(self.teacher_temperature, step),
      iterations=self.iterations,
      axis_name=axis_name,
    )
    features = view_rows.interleave(embeddings['features'])
    targets = assign(self._head('head', slow, features))
    logits = self._head('patch_head', slow, embeddings['patches'])
    patch_targets = assign(
      logits.reshape(-1, logits.shape[-1]), rows=hidden.reshape(-1)
    )
    return (
      view_rows.separate(targets, self.num_global),
      patch_targets.reshape(logits.shape),
    )

  def _head(self, name: str, params: PyTree, x: jax.Array) -> Any:
    return variables.apply(self.head, {'params': params[name]}, x, train=True)


def _one_of(key: jax.Array, count: int) -> jax.Array:
  """Returns bool [count], True at one place, all being as likely."""
  return jnp.arange(count) == jax.random.randint(key, (), 0, count)


def _resized(
  tokens: jax.Array, old: tuple[int, int], new: tuple[int, int]
) -> jax.Array:
  """Returns patch tokens [G, b, N, D] in another grid, by PyTorch's bicubic."""
  resize = functools.partial(
    positions.interpolate, old=old, new=new, antialias=False
  )
  return jax.vmap(jax.vmap(resize))(tokens)


def _rows_first(x: jax.Array) -> jax.Array:
  """Returns [b, G N, ...] of [G, b, N, ...]."""
  x = x.swapaxes(0, 1)
  return x.reshape(len(x), -1, *x.shape[3:])
