"""DINO: a student matches its slow teacher's distribution over prototypes."""

from collections.abc import Sequence
import dataclasses

from flax import linen as nn
import jax
import jax.numpy as jnp

from jaxssl.fields import Count, Fraction, Positive, check_fields
from jaxssl.methods import momentum as momentum_lib
from jaxssl.methods import multi_crop, row_sums, variables
from jaxssl.methods.base import Batch, PyTree, RowSums
from jaxssl.models import DINOHead, Net
from jaxssl.ops import schedules
from jaxssl.ops.distillation import distillation, entropy


@dataclasses.dataclass(frozen=True, kw_only=True)
class DINO:
  """Self-distillation without labels, with crops of several sizes.

  Student logits s_v = head(encoder(view v)) for all V views; logits t_i of the
  first `num_global` G views only, from the slow network, the teacher:

    p_i = softmax((t_i - c) / T_t)
    loss = mean over the pairs (i, v), v != i, of mean_b
           -sum_k p_i[k] log softmax(s_v / T_s)[k]

  After the optimizer, with the new parameters,

    slow <- m slow + (1 - m) student
    c <- 0.9 c + 0.1 mean over the global batch and the G views of t

  One forward pass a resolution: neighbouring views of the same size go through
  the encoder together (and share batch statistics), all features through the
  head at once, so the cost is that of the pixels. The slow network runs in
  training mode without drop path, as the authors' teacher; it keeps running
  statistics of its own.

  Signs of collapse among the metrics: `teacher_entropy`, the mean H(p), in
  [0, ln K], and `teacher_information`, H(mean p) - mean H(p) over the global
  batch: how much a target tells about its image, 0 in both kinds of collapse
  (one prototype takes all: entropy 0; none is preferred: entropy ln K).

  State: `stats` (student), `slow` (`params` and `stats`), `center` [1, K].

  Attributes:
    encoder: module, images [b, H, W, 3] -> (features [b, D], out).
    head: `DINOHead`. Freeze its last layer for the first epochs by a rule of
      the optimizer: `{'match': 'head/last_layer', 'freeze_epochs': 1}`.
    num_global: G, the first views, which the slow network sees.
    student_temperature: T_s.
    teacher_temperature: T_t, a number or a schedule.
    momentum: m, a number or a schedule; from 0.996 to 1 along a cosine.
    center_momentum: weight of the old centre.

  Raises:
    UserError: for numbers out of range.

  References:
    Caron et al., Emerging Properties in Self-Supervised Vision Transformers,
    2021, https://arxiv.org/abs/2104.14294 (equations 1 to 4, algorithm 1);
    main_dino.py of https://github.com/facebookresearch/dino.
  """

  encoder: nn.Module
  head: DINOHead = dataclasses.field(default_factory=DINOHead)
  num_global: Count = 2
  student_temperature: Positive = 0.1
  teacher_temperature: Positive | schedules.Schedule = 0.04
  momentum: Fraction | schedules.Schedule = 0.996
  center_momentum: Fraction = 0.9

  loss = row_sums.mean_loss

  def __post_init__(self) -> None:
    """Raises `UserError` for numbers out of range."""
    check_fields(self)

  def init(self, key: jax.Array, batch: Batch) -> tuple[PyTree, PyTree]:
    """See `Method.init`."""
    net = Net(self.encoder, self.head)
    logits, initial = net.init_with_output(key, batch['views'][0], train=False)
    params, stats = variables.split(initial)
    return params, {
      'stats': stats,
      'slow': {'params': params, 'stats': stats},
      'center': jnp.zeros((1, logits.shape[-1])),
    }

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
    views = batch['views']
    multi_crop.check_views('DINO', len(views), self.num_global)
    student, stats = self._logits(
      self.encoder, params, state['stats'], views, keys, axis_name
    )
    teacher, slow_stats = self._logits(
      # The authors' teacher drops no paths.
      momentum_lib.without_noise(self.encoder),
      jax.lax.stop_gradient(state['slow']['params']),
      state['slow']['stats'],
      views[: self.num_global],
      keys,
      axis_name,
    )
    teacher = jax.lax.stop_gradient(teacher)
    temperature = schedules.value_at(self.teacher_temperature, step)
    # Against both collapses: centring keeps one prototype from taking all, the
    # low temperature keeps targets from being the same everywhere.
    targets = jax.nn.softmax((teacher - state['center'][None]) / temperature)
    loss = distillation(targets, student, temperature=self.student_temperature)
    means = {
      'entropy': entropy(targets).mean(),
      'target': targets.mean((0, 1)),
      # Raw: the centre is a mean of logits that none was taken from.
      'logits': teacher.mean((0, 1)),
    }
    rows = jnp.asarray(len(views[0]), jnp.float32)
    # Means times rows are sums, which parts and devices can add up.
    seen = jax.tree.map(lambda mean: rows * mean, means)
    stats = {'stats': stats, 'slow_stats': slow_stats}
    return RowSums(rows * loss, rows, seen), stats

  def summarize(
    self, sums: RowSums, stats: PyTree
  ) -> tuple[dict[str, jax.Array], PyTree]:
    """See `RowWise.summarize`."""
    means = jax.tree.map(lambda x: x / sums.weight, sums.seen)
    metrics = {
      'teacher_entropy': means['entropy'],
      'teacher_information': entropy(means['target']) - means['entropy'],
    }
    return metrics, {**stats, 'mean_logits': means['logits']}

  def update(
    self, params: PyTree, state: PyTree, carry: PyTree, *, step: jax.Array
  ) -> tuple[PyTree, PyTree]:
    """See `Method.update`."""
    momentum = schedules.value_at(self.momentum, step)
    slow = momentum_lib.move(state['slow']['params'], params, momentum)
    # The centre of the next step: targets of this one are made with the old.
    center = momentum_lib.move(
      state['center'], carry['mean_logits'][None], self.center_momentum
    )
    return params, {
      'stats': carry['stats'],
      'slow': {'params': slow, 'stats': carry['slow_stats']},
      'center': center,
    }

  def export(self, params: PyTree, state: PyTree) -> dict[str, PyTree]:
    """See `Method.export`; the teacher's encoder, as the authors evaluate."""
    del params
    slow = state['slow']
    return {
      'encoder': variables.tower('encoder', slow['params'], slow['stats'])
    }

  def _logits(
    self,
    encoder: nn.Module,
    params: PyTree,
    stats: PyTree,
    views: Sequence[jax.Array],
    keys: jax.Array,
    axis_name: str | None,
  ) -> tuple[jax.Array, PyTree]:
    """Returns logits [V, b, K] of the views, and the new statistics."""
    features, new = multi_crop.encode(
      encoder, params, stats, views, keys=keys, axis_name=axis_name
    )
    stats = variables.replace(stats, new)
    logits, new = variables.apply_part(
      'head',
      self.head,
      params,
      stats,
      jnp.stack(features),
      axis_name=axis_name,
    )
    return logits, variables.replace(stats, new)
