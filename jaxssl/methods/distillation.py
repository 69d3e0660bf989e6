"""Distillation: the features of a trained encoder, by another one."""

from collections.abc import Mapping
import dataclasses

from flax import linen as nn
import jax
import jax.numpy as jnp

from jaxssl import errors
from jaxssl.fields import Count, NonNegative, check_fields
from jaxssl.methods import at_rest, row_sums, variables
from jaxssl.methods.base import Batch, PyTree, RowSums
from jaxssl.methods.teacher import Teacher
from jaxssl.models import Adaptor
from jaxssl.models.spatial_map import spatial_map
from jaxssl.ops.feature_match import cosine_distance, match_distance

_HEADS = ('global_head', 'patch_head')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Distillation:
  """Imitates global and patch features of a frozen teacher, as AM-RADIO.

  With s and S_ij features and patch features of the encoder, t and T_ij those
  of the teacher for the same pixels, and g, h an adaptor each,

    loss = mean_b [ w_g (1 - cos(g(s), t))
                    + w_p mean_ij match(resize(h(S))_ij, T_ij) ]
    match(x, y) = 0.9 (1 - cos(x, y)) + 0.1 mean_d smooth_l1(x_d - y_d)

  where `resize` is bilinear to the grid of the teacher. Any encoder can learn
  from any other: patch features are the patch tokens of a vision transformer
  or the last map of a convolutional network. The adaptors are dropped
  afterwards.

  The batch must hold `pixels`, the view before normalisation (recipe
  'distillation'): the teacher sees them with its own mean and deviation, in
  evaluation mode and in the number format of the encoder.

  State: `stats`, the batch statistics of the encoder, and `teacher`, its
  variables, never changed. They are in every checkpoint. As constants of the
  compiled step they could not be shared by devices, and a resumed run would
  have other targets where the teacher's folder has changed since.

  Attributes:
    encoder: module, images [b, H, W, 3] -> (features [b, D], out).
    teacher: what is imitated. A config has the folder: a workdir of `jaxssl
      import` or `jaxssl train`, or an exported encoder.
    head: the adaptor, one of this shape for each kind of features.
    global_weight: w_g.
    patch_weight: w_p; 0 for networks without patch features.
    teacher_size: side in pixels that the view is resized to for the teacher,
      for example where its patches do not divide the view; None: as it is.

  Raises:
    UserError: if both weights are 0.

  References:
    Ranzinger et al., AM-RADIO: Agglomerative Vision Foundation Model, 2023,
    https://arxiv.org/abs/2312.06709 (section 3.4, equations 2 to 4), with one
    teacher; the adaptors of https://github.com/NVlabs/RADIO
    (radio/adaptor_mlp.py, `MLP`). Its training code was not published.

  Differs from the paper: one teacher instead of several; any encoder; patch
  features are resized after their adaptor.
  """

  encoder: nn.Module
  teacher: Teacher
  head: Adaptor = dataclasses.field(default_factory=Adaptor)
  global_weight: NonNegative = 1.0
  patch_weight: NonNegative = 1.0
  teacher_size: Count | None = None

  loss = row_sums.mean_loss

  def __post_init__(self) -> None:
    """Raises `UserError` for numbers out of range."""
    check_fields(self)
    if not self.global_weight + self.patch_weight > 0:
      raise errors.UserError(
        'method.global_weight and method.patch_weight are both 0: nothing '
        'would be learned'
      )

  def init(self, key: jax.Array, batch: Batch) -> tuple[PyTree, PyTree]:
    """See `Method.init`."""
    images = batch['views'][0]
    encoder_key, *head_keys = jax.random.split(key, 3)
    (features, out), encoder = self.encoder.init_with_output(
      encoder_key, images
    )
    teacher = jax.tree.map(jnp.asarray, self.teacher.variables)
    own = self._kinds(features, out, images)
    targets = jax.eval_shape(
      self.targets, teacher, at_rest.pixels(batch, 'distillation')
    )
    heads = {
      name: self.head.init(head_key, own[name], targets[name].shape[-1])
      for name, head_key in zip(_HEADS, head_keys, strict=True)
      if name in own
    }
    params, stats = variables.split(variables.join(encoder=encoder, **heads))
    return params, {'stats': stats, 'teacher': teacher}

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
    del step
    images = batch['views'][0]
    (features, out), new = variables.apply_part(
      'encoder',
      self.encoder,
      params,
      state['stats'],
      images,
      axis_name=axis_name,
      keys=keys,
    )
    own = self._kinds(features, out, images)
    targets = self.targets(
      state['teacher'], at_rest.pixels(batch, 'distillation')
    )
    found = {
      name: self._distances(name, params[name], own[name], targets[name])
      for name in own
    }
    loss = sum(
      self._weight(name) * distance.sum()
      for name, (distance, _) in found.items()
    )
    rows = jnp.asarray(len(images), jnp.float32)
    seen = {name: cosine.sum() for name, (_, cosine) in found.items()}
    stats = variables.replace(state['stats'], new)
    return RowSums(jnp.asarray(loss), rows, seen), stats

  def summarize(
    self, sums: RowSums, stats: PyTree
  ) -> tuple[dict[str, jax.Array], PyTree]:
    """See `RowWise.summarize`."""
    metrics = {
      name.replace('head', 'cosine'): 1.0 - distance / sums.weight
      for name, distance in sums.seen.items()
    }
    return metrics, stats

  def update(
    self, params: PyTree, state: PyTree, carry: PyTree, *, step: jax.Array
  ) -> tuple[PyTree, PyTree]:
    """See `Method.update`."""
    del step
    return params, {**state, 'stats': carry}

  def export(self, params: PyTree, state: PyTree) -> dict[str, PyTree]:
    """See `Method.export`."""
    return {'encoder': variables.tower('encoder', params, state['stats'])}

  def targets(self, teacher: PyTree, pixels: jax.Array) -> dict[str, jax.Array]:
    """Returns features of the teacher by the head that imitates them.

    Args:
      teacher: its variables.
      pixels: float32 [b, H, W, 3] in [0, 1].

    Returns:
      `global_head`: [b, D]; `patch_head`: [b, h, w, D]; one whose weight is 0
      is not there.
    """
    if self.teacher_size is not None:
      side = self.teacher_size
      shape = (pixels.shape[0], side, side, pixels.shape[-1])
      pixels = jax.image.resize(pixels, shape, 'cubic', antialias=True)
      pixels = jnp.clip(pixels, 0.0, 1.0)  # the filter overshoots at edges
    images = at_rest.normalize(pixels, self.teacher)
    network = self.teacher.encoder
    if hasattr(network, 'dtype') and hasattr(self.encoder, 'dtype'):
      network = network.clone(dtype=self.encoder.dtype)
    features, out = variables.apply(network, teacher, images)
    return self._kinds(features, out, images)

  def _kinds(
    self,
    features: jax.Array,
    out: Mapping[str, jax.Array],
    images: jax.Array,
  ) -> dict[str, jax.Array]:
    """Returns what has a weight, float32, by the head that it is for."""
    found: dict[str, jax.Array] = {}
    for name in _HEADS:
      if self._weight(name):
        is_global = name == 'global_head'
        own = features if is_global else _patch_map(out, images)
        found[name] = own.astype(jnp.float32)
    return found

  def _weight(self, name: str) -> float:
    is_global = name == 'global_head'
    return self.global_weight if is_global else self.patch_weight

  def _distances(
    self, name: str, params: PyTree, own: jax.Array, target: jax.Array
  ) -> tuple[jax.Array, jax.Array]:
    """Returns the loss of each row, and its cosine distance, both [b]."""
    imitated = variables.apply(
      self.head, {'params': params}, own, target.shape[-1]
    )
    if name == 'global_head':
      distance = cosine_distance(imitated, target)
      return distance, distance
    imitated = jax.image.resize(
      imitated, target.shape, 'linear', antialias=False
    )
    return (
      match_distance(imitated, target).mean((1, 2)),
      cosine_distance(imitated, target).mean((1, 2)),
    )


def _patch_map(out: Mapping[str, jax.Array], images: jax.Array) -> jax.Array:
  """Returns patch tokens in their grid, or the last map, [b, h, w, D]."""
  _, height, width, _ = images.shape
  try:
    return spatial_map(out, (height, width))
  except errors.UserError as error:
    raise errors.UserError(
      f'{error}; without patch features, set method.patch_weight=0'
    ) from error
