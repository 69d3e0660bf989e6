"""SigLIP 2: SigLIP that writes captions too, and later imitates itself."""

from collections.abc import Mapping, Sequence
import dataclasses
import functools
from typing import Any

from flax import linen as nn
import jax
import jax.numpy as jnp

from jaxssl import errors
from jaxssl.fields import (
  Count,
  Fraction,
  MaskRatio,
  NonNegative,
  Positive,
  check_fields,
)
from jaxssl.methods import block_masks, contrast, masked_views
from jaxssl.methods import momentum as momentum_lib
from jaxssl.methods import variables as variables_lib
from jaxssl.methods.base import Aux, Batch, PyTree
from jaxssl.methods.siglip import SigLIP
from jaxssl.methods.two_towers import flat_texts, image_tokens, vectors
from jaxssl.models import DINOHead, Projection, TextEncoder, make_text_encoder
from jaxssl.models.caption_writer import CaptionWriter
from jaxssl.models.drop_path import fold_keys
from jaxssl.models.normed_tokens import require_mask_token
from jaxssl.models.vit import ViT
from jaxssl.ops import masking, schedules
from jaxssl.ops.captioning import caption_entropy
from jaxssl.ops.distillation import cross_entropy, entropy
from jaxssl.ops.tokens import standardize, take_tokens
from jaxssl.parallel import collectives

_HEADS = ('view_head', 'patch_head')


@dataclasses.dataclass(frozen=True, kw_only=True)
class SigLIP2:
  """Compares images and texts, writes the texts, and imitates a slow teacher.

    loss = sigmoid(images, texts)
           + w_c mean over all tokens t of the global batch of -log p(t)
           + w (w_v mean_b mean_v -sum_k p[k] log softmax(s_v / T_s)[k]
                + w_p mean_b mean_m -sum_k p_m[k] log softmax(s_m / T_s)[k])

  The first term is `SigLIP`'s, of the first view. For the second a decoder
  looks at all patches of that view and predicts the text, each token from those
  before it, or, for a random share of the texts, all at once from the image
  alone (`models.caption_writer`). Texts of more tokens count more, on any
  device.

  For the others the slow network, the teacher, sees the second view of each
  picture, whole. The student sees the third view and those after it, small ones
  (v), whose features it compares with the teacher's, and the second with half
  of the patches hidden (m), which it compares with the teacher's of the same
  places. So what changes colours or leaves much out never stands beside a text.
  With logits s of the student and t of the teacher, from two heads,

    p = softmax((t - c) / T_t)           p_m = softmax((t_m - c') / T_t)

  After the optimizer, with the new parameters,

    slow <- m slow + (1 - m) student
    c <- 0.9 c + 0.1 mean over the global batch of t
    c' <- 0.9 c' + 0.1 mean over the global batch and the hidden patches of t

  While w is 0, which a schedule can say of the first steps, no network sees
  these views, the heads stay as drawn, and the teacher is the student. At
  initialisation the loss is about that of SigLIP + w_c (ln V + 1/2) + w (w_v +
  w_p) ln K: the decoder's logits start with the variance 1.

  Metrics: `siglip_loss`, `caption_loss`, `view_loss` and `patch_loss`, the
  terms without weights (0 while they are left out), `teacher_entropy`, the mean
  entropy of p, in [0, ln K], and those of `SigLIP`.

  State: that of `SigLIP`; `slow` (parameters of the teacher: the image encoder
  and both heads), `center` [1, K], `patch_center`.

  Attributes:
    encoder: a ViT with `use_mask_token` whose tokens pass its final norm. The
      authors pool by attention: `pool='map'`, without a class token.
    text_encoder: module, token ids [b, L] -> (features [b, D'], out).
    head: see `SigLIP`.
    project_images: see `SigLIP`.
    scale: see `SigLIP`.
    bias: see `SigLIP`.
    chunk: see `SigLIP`.
    caption_weight: w_c; the authors' two losses have the same weight.
    parallel_share: share of the texts that are predicted all at once.
    decoder_depth: layers of the decoder, which has the width, the heads and the
      type of the text tower; None for half as many as that has.
    self_weight: w, a number or a schedule; 0.25 for ViT-B, 0.5 for L, 1 for
      So400m, 0.5 for g, all of them once 80 % of the steps are done:
      `{'name': 'switch', 'start': 0.0, 'end': 0.25, 'at': 0.8}`.
    view_weight: w_v.
    patch_weight: w_p.
    mask_ratio: share of the patches that are hidden.
    num_prototypes: K.
    hidden_dim: width of both heads.
    bottleneck_dim: width of what they compare with the prototypes.
    student_temperature: T_s.
    teacher_temperature: T_t, a number or a schedule.
    momentum: m, a number or a schedule.
    center_momentum: weight of the old centres.

  Raises:
    UserError: for an encoder or numbers that do not serve.

  References:
    Tschannen et al., SigLIP 2, 2025, https://arxiv.org/abs/2502.14786 (sections
    2.2 and 2.3), which names its parts: Wan et al., LocCa, 2024,
    https://arxiv.org/abs/2403.19596 (decoder); Naeem et al., SILC, 2023,
    https://arxiv.org/abs/2310.13355 (views); Maninis et al., TIPS, 2024,
    https://arxiv.org/abs/2410.16512 (patches). The authors published no code
    for training; CapPa's decoder, LocCa's ancestor, is in
    https://github.com/google-research/big_vision.

  From the paper are the weights, when they begin, that the teacher then starts
  as the student, one view of the teacher and 8 small ones, half of the patches,
  a half of the texts all at once, the depth of the decoder, and what sees which
  view.

  Differs from the paper: the decoder writes captions only. LocCa's other two
  tasks need boxes with texts of their own, which no source of pairs here has.
  The loss of the decoder is not cut up along the vocabulary;
  `train.micro_batches` divides its memory.

  Chosen here, as the paper does not say it: patches are hidden one by one; the
  centre of patches is one of hidden ones; each of both losses has a head.
  Features come to theirs with mean 0 and variance 1, as DINO's do from the last
  norm: attention pooling and the first term leave their length open. The paper
  takes its hyperparameters from SILC, of which could be checked that m stays
  the same and that there is a centre; heads, temperatures, m and the weight of
  the old centre are DINO's. Decay moves the heads before they learn, by a few
  per cent over a million steps at a rate of 1e-3 and a decay of 1e-4.
  """

  encoder: ViT
  text_encoder: TextEncoder = dataclasses.field(
    default_factory=functools.partial(make_text_encoder, 'siglip_b')
  )
  head: nn.Module = dataclasses.field(
    default_factory=functools.partial(Projection, use_bias=True)
  )
  project_images: bool = True
  scale: Positive = 10.0
  bias: float = -10.0
  chunk: Count | None = None
  caption_weight: NonNegative = 1.0
  parallel_share: Fraction = 0.5
  decoder_depth: Count | None = None
  self_weight: NonNegative | schedules.Schedule = 0.25
  view_weight: NonNegative = 1.0
  patch_weight: NonNegative = 0.25
  mask_ratio: MaskRatio = 0.5
  num_prototypes: Count = 65536
  hidden_dim: Count = 2048
  bottleneck_dim: Count = 256
  student_temperature: Positive = 0.1
  teacher_temperature: Positive | schedules.Schedule = 0.04
  momentum: Fraction | schedules.Schedule = 0.996
  center_momentum: Fraction = 0.9

  loss = contrast.loss

  def __post_init__(self) -> None:
    """Raises `UserError` for values that do not go together."""
    check_fields(self)
    require_mask_token('siglip2', self.encoder, attends=True)

  @property
  def siglip(self) -> SigLIP:
    """The part that compares images and texts."""
    return SigLIP(
      encoder=self.encoder,
      text_encoder=self.text_encoder,
      head=self.head,
      project_images=self.project_images,
      scale=self.scale,
      bias=self.bias,
      chunk=self.chunk,
    )

  @property
  def decoder(self) -> CaptionWriter:
    """The part that writes."""
    text = self.text_encoder
    return CaptionWriter(
      vocab_size=text.vocab_size,
      length=text.length,
      dim=text.dim,
      depth=self.decoder_depth or max(text.depth // 2, 1),
      num_heads=text.num_heads,
      mlp_ratio=text.mlp_ratio,
      act=text.act,
      epsilon=text.epsilon,
      dtype=text.dtype,
      remat=text.remat,
    )

  @property
  def imitating_head(self) -> DINOHead:
    """Both heads of what imitates the teacher."""
    return DINOHead(
      hidden_dim=self.hidden_dim,
      bottleneck_dim=self.bottleneck_dim,
      out_dim=self.num_prototypes,
    )

  def init(self, key: jax.Array, batch: Batch) -> tuple[PyTree, PyTree]:
    """See `Method.init`."""
    _check_views(batch['views'])
    siglip_key, decoder_key, *head_keys = jax.random.split(key, 4)
    params, state = self.siglip.init(siglip_key, batch)

    def looked_at(params: PyTree) -> jax.Array:
      # None drops a path: only the shapes are looked at.
      keys = jax.random.split(key, len(batch['text']))
      found, _ = self.siglip.towers.outputs(
        params, state['stats'], batch, keys=keys
      )
      return image_tokens(found, batch)

    shape = jax.eval_shape(looked_at, params)
    decoder = self.decoder.init(
      decoder_key,
      flat_texts(batch['text']),
      jnp.zeros(shape.shape, shape.dtype),
      jnp.zeros(len(flat_texts(batch['text'])), bool),
    )
    params = {**params, 'decoder': decoder['params']}
    # Features are as wide as tokens.
    blank = jnp.zeros((1, self.encoder.dim))
    for name, head_key in zip(_HEADS, head_keys, strict=True):
      head = self.imitating_head.init(head_key, blank, train=False)
      params[name] = head['params']
    # Two arrays, as the train step takes those that it is given for its own.
    centers = {
      name: jnp.zeros((1, self.num_prototypes))
      for name in ('center', 'patch_center')
    }
    return params, {**state, 'slow': _student(params), **centers}

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
    found, stats = self.siglip.towers.outputs(
      params, state['stats'], batch, keys=keys, axis_name=axis_name
    )
    # The towers drop paths by 0 and 1.
    return {
      **vectors(found, batch),
      **self._write(params, found, batch, fold_keys(keys, 2)),
      **self._imitate_in_time(params, state, batch, fold_keys(keys, 3), step),
    }, stats

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
    siglip_loss, aux = self.siglip.compare(
      params, state, embeddings, stats, step=step, axis_name=axis_name
    )
    # Devices hold texts of other lengths; each divides by the same number.
    count = collectives.pmean(jnp.sum(embeddings['count']), axis_name)
    caption_loss = jnp.sum(embeddings['cost']) / jnp.maximum(count, 1.0)
    view_loss = jnp.mean(embeddings['view_loss'])
    patch_loss = jnp.mean(embeddings['patch_loss'])
    loss = (
      siglip_loss
      + self.caption_weight * caption_loss
      + schedules.value_at(self.self_weight, step)
      * (self.view_weight * view_loss + self.patch_weight * patch_loss)
    )
    metrics = {
      'siglip_loss': siglip_loss,
      'caption_loss': caption_loss,
      'view_loss': view_loss,
      'patch_loss': patch_loss,
      'teacher_entropy': jnp.mean(embeddings['teacher_entropy']),
      **aux.metrics,
    }
    centers = {
      name: collectives.pmean(
        jnp.mean(embeddings[name], axis=0, keepdims=True), axis_name
      )
      for name in ('center', 'patch_center')
    }
    return loss, Aux(metrics, {'stats': aux.carry, **centers})

  def update(
    self, params: PyTree, state: PyTree, carry: PyTree, *, step: jax.Array
  ) -> tuple[PyTree, PyTree]:
    """See `Method.update`."""
    # All of it or nothing, by a factor: until then the teacher is the student.
    weight = schedules.value_at(self.self_weight, step)
    is_on = jnp.asarray(weight > 0, jnp.float32)
    momentum = is_on * schedules.value_at(self.momentum, step)
    # The centres of the next step: targets of this one are made with the old.
    centers = {name: state[name] for name in ('center', 'patch_center')}
    new_centers = {name: carry[name] for name in centers}
    stay = 1.0 - is_on * (1.0 - self.center_momentum)
    return params, {
      'stats': carry['stats'],
      'slow': momentum_lib.move(state['slow'], _student(params), momentum),
      **momentum_lib.move(centers, new_centers, stay),
    }

  def export(self, params: PyTree, state: PyTree) -> dict[str, PyTree]:
    """See `Method.export`; the towers of `SigLIP`, those of the student."""
    return self.siglip.export(params, state)

  def encode_image(self, towers: PyTree, images: jax.Array) -> jax.Array:
    """See `TwoTowers.encode_image`."""
    return self.siglip.encode_image(towers, images)

  def encode_text(self, towers: PyTree, text: jax.Array) -> jax.Array:
    """See `TwoTowers.encode_text`."""
    return self.siglip.encode_text(towers, text)

  def with_towers(
    self, params: PyTree, state: PyTree, towers: Mapping[str, PyTree]
  ) -> tuple[PyTree, PyTree]:
    """See `TwoTowers.with_text`; the tower is `text`."""
    params, new = self.siglip.with_towers(params, state, towers)
    return params, {**state, **new}

  def draw_masks(self, keys: jax.Array, view: jax.Array) -> jax.Array:
    """Returns which patches of a view are hidden, bool [b, N], of all as many.

    Args:
      keys: typed PRNG keys [b], one per row.
      view: images [b, H, W, 3].
    """
    count = self._num_patches(view)
    noise = masking.row_noise(keys, count)
    return masking.mask_by_noise(noise, count - self._num_hidden(view)).hidden

  def draw_parallel(self, keys: jax.Array, texts: int) -> jax.Array:
    """Returns which texts are predicted all at once, bool [b n].

    Args:
      keys: typed PRNG keys [b], one per row.
      texts: how many texts n an image has.
    """
    draw = functools.partial(
      jax.random.bernoulli, p=self.parallel_share, shape=(texts,)
    )
    return jax.vmap(draw)(keys).reshape(-1)

  def _num_patches(self, view: jax.Array) -> int:
    rows, columns = self.encoder.grid_of(view)
    return rows * columns

  def _num_hidden(self, view: jax.Array) -> int:
    return max(round(self.mask_ratio * self._num_patches(view)), 1)

  def _write(
    self, params: PyTree, found: PyTree, batch: Batch, keys: jax.Array
  ) -> dict[str, jax.Array]:
    """Returns what the texts of each row cost, and their tokens, [b, n]."""
    texts = flat_texts(batch['text'])
    logits = variables_lib.apply(
      self.decoder,
      {'params': params['decoder']},
      texts,
      image_tokens(found, batch),
      self.draw_parallel(keys, len(texts) // len(keys)),
    )
    # A sum for each text: no part of a batch has to know the others' lengths,
    # and no logits are kept.
    cost, count = caption_entropy(
      logits, texts, self.text_encoder.eot_id, first=0
    )
    rows = (len(keys), -1)
    return {'cost': cost.reshape(rows), 'count': count.reshape(rows)}

  def _imitate_in_time(
    self,
    params: PyTree,
    state: PyTree,
    batch: Batch,
    keys: jax.Array,
    step: jax.Array,
  ) -> dict[str, jax.Array]:
    """Returns `_imitate`, or zeros at the price of zeros while w is 0."""
    views = batch['views']
    _check_views(views)

    def imitate() -> dict[str, jax.Array]:
      return self._imitate(params, state, views[1:], keys, step)

    def leave_out() -> dict[str, jax.Array]:
      shapes = jax.eval_shape(imitate)
      return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)

    if not callable(self.self_weight):
      return imitate() if self.self_weight > 0 else leave_out()
    return jax.lax.cond(self.self_weight(step) > 0, imitate, leave_out)

  def _imitate(
    self,
    params: PyTree,
    state: PyTree,
    views: Sequence[jax.Array],
    keys: jax.Array,
    step: jax.Array,
  ) -> dict[str, jax.Array]:
    """Returns both losses of each row [b], and the teacher's logits [b, K].

    Args:
      params: trainable variables.
      state: has the teacher and the centres.
      views: that of the teacher, and the small ones.
      keys: typed PRNG keys [b].
      step: as in `Method.loss`.
    """
    hidden = self.draw_masks(fold_keys(keys, 0), views[0])
    places, _ = block_masks.hidden_first(hidden, self._num_hidden(views[0]))
    keys = fold_keys(keys, 1)
    slow = jax.lax.stop_gradient(state['slow'])
    quiet = momentum_lib.without_noise(self.encoder)
    student = _student(params)
    features, patches = masked_views.run(
      self.encoder, student, views, hidden[None], keys=keys
    )
    teacher, teacher_patches = masked_views.run(
      quiet, slow, views[:1], keys=keys
    )
    logits = self._logits('view_head', slow, standardize(teacher[0]))
    # Before the head, which is wide.
    patch_logits = self._logits(
      'patch_head', slow, take_tokens(teacher_patches[0], places)
    )
    temperature = schedules.value_at(self.teacher_temperature, step)
    targets = jax.nn.softmax((logits - state['center']) / temperature)
    patch_targets = jax.nn.softmax(
      (patch_logits - state['patch_center'][None]) / temperature
    )
    losses = functools.partial(
      cross_entropy, temperature=self.student_temperature
    )
    # The student's features of the second view are not compared: half of it is
    # hidden, and what is left is no small view.
    small = standardize(features[1:])
    view_losses = losses(
      targets[None], self._logits('view_head', student, small)
    )
    patch_losses = losses(
      patch_targets,
      self._logits('patch_head', student, take_tokens(patches[0], places)),
    )
    return {
      'view_loss': view_losses.mean(0),
      'patch_loss': patch_losses.mean(1),
      'teacher_entropy': entropy(targets),
      'center': logits,
      'patch_center': patch_logits.mean(1),
    }

  def _logits(self, name: str, params: PyTree, x: jax.Array) -> Any:
    head = {'params': params[name]}
    return variables_lib.apply(self.imitating_head, head, x, train=True)


def _student(params: PyTree) -> PyTree:
  """Returns what the teacher is a copy of."""
  heads = {name: params[name] for name in _HEADS}
  return {'encoder': params['image']['encoder'], **heads}


def _check_views(views: Sequence[jax.Array]) -> None:
  if len(views) < 3:
    raise errors.UserError(
      "method 'siglip2' needs a view beside its text, one for the teacher, and "
      f'small ones, but the augmentation makes {len(views)}; use '
      "augment.name='siglip2'"
    )
