"""CLIP: images find their texts in the batch, and texts their images."""

from collections.abc import Mapping
import dataclasses
import math

from flax import linen as nn
import jax
import jax.numpy as jnp

from jaxssl.fields import Count, Positive
from jaxssl.methods import contrast
from jaxssl.methods.base import Aux, Batch, PyTree
from jaxssl.methods.two_towers import TwoTowers
from jaxssl.models import Projection, TextEncoder
from jaxssl.ops import contrastive

# The paper's limit of the factor, against instability.
_MAX_SCALE = 100.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class CLIP:
  """Contrasts images and their texts over the global batch.

  The loss is `ops.contrastive.clip` of x = head(encoder(view)) and
  y = head'(text_encoder(text)) with the learned factor exp(t) of the cosines.
  t starts at ln(1 / 0.07) and is kept in [0, ln 100] after every step.

  State: `stats`, the batch statistics of the towers, if they have any.

  Attributes:
    encoder: module, images [b, H, W, 3] -> (features [b, D], out).
    text_encoder: module, token ids [b, L] -> (features [b, D'], out).
    head: projection of features into the joint space; each tower has one of its
      own. Linear in the paper; `Projection(num_layers=2)` is not.
    project_images: False for an image tower that ends in the joint space, as
      CLIP's ResNets do (its features then have the width of the head).
    temperature: what 1 / exp(t) starts from.
    chunk: columns of the matrix of logits at a time (`ops.negatives`); None for
      all, which is faster as long as they fit into memory.

  References:
    Radford et al., Learning Transferable Visual Models From Natural Language
    Supervision, 2021, https://arxiv.org/abs/2103.00020 (figure 3, section 2.5);
    https://github.com/openai/CLIP (models); the clamp from below, which the
    paper does not have, from https://github.com/mlfoundations/open_clip.

  For a frozen image tower (LiT, arXiv 2111.07991) the optimizer has the rule
  `{'match': '^image/encoder/', 'freeze_steps': -1}`. Batch statistics of a
  frozen ResNet would still be those of the batch.
  """

  encoder: nn.Module
  text_encoder: nn.Module = dataclasses.field(default_factory=TextEncoder)
  head: nn.Module = dataclasses.field(default_factory=Projection)
  project_images: bool = True
  temperature: Positive = 0.07
  chunk: Count | None = None

  loss = contrast.loss

  @property
  def towers(self) -> TwoTowers:
    """Both networks."""
    return TwoTowers(
      encoder=self.encoder,
      text_encoder=self.text_encoder,
      head=self.head,
      project_images=self.project_images,
    )

  def init(self, key: jax.Array, batch: Batch) -> tuple[PyTree, PyTree]:
    """See `Method.init`."""
    params, stats = self.towers.init(key, batch)
    # The logarithm is what is learned, so the factor stays positive.
    t = jnp.asarray(math.log(1 / self.temperature), jnp.float32)
    return {**params, 'logit_scale': t}, {'stats': stats}

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
    del step
    return self.towers.embed(
      params, state['stats'], batch, keys=keys, axis_name=axis_name
    )

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
    del state, step
    scale = jnp.exp(params['logit_scale'])
    loss, top1 = contrastive.clip(
      embeddings['image'],
      embeddings['text'],
      scale=scale,
      chunk=self.chunk,
      axis_name=axis_name,
    )
    metrics = {'contrastive_top1': top1, 'logit_scale': scale}
    return loss, Aux(metrics, stats)

  def update(
    self, params: PyTree, state: PyTree, carry: PyTree, *, step: jax.Array
  ) -> tuple[PyTree, PyTree]:
    """See `Method.update`; clamps the temperature."""
    del state, step
    # Here and not in the loss: beyond the limit a clipped factor would have no
    # gradient that could bring it back.
    t = jnp.clip(params['logit_scale'], 0.0, math.log(_MAX_SCALE))
    return {**params, 'logit_scale': t}, {'stats': carry}

  def export(self, params: PyTree, state: PyTree) -> dict[str, PyTree]:
    """See `Method.export`.

    `encoder`, `text` (text encoder and head), `image_head` with
    `project_images`, and `logits` (`scale`: t).
    """
    towers = self.towers.export(params, state['stats'])
    return {**towers, 'logits': {'params': {'scale': params['logit_scale']}}}

  def encode_image(self, towers: PyTree, images: jax.Array) -> jax.Array:
    """See `TwoTowers.encode_image`."""
    return self.towers.encode_image(towers, images)

  def encode_text(self, towers: PyTree, text: jax.Array) -> jax.Array:
    """See `TwoTowers.encode_text`."""
    return self.towers.encode_text(towers, text)

  def with_towers(
    self, params: PyTree, state: PyTree, towers: Mapping[str, PyTree]
  ) -> tuple[PyTree, PyTree]:
    """See `TwoTowers.with_text`; the tower is `text`."""
    params, stats = self.towers.with_text(
      params, state['stats'], towers['text']
    )
    return params, {'stats': stats}
