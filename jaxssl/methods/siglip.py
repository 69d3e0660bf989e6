"""SigLIP: whether they belong together, asked of every image and text."""

from collections.abc import Mapping
import dataclasses
import functools
import math

from flax import linen as nn
import jax
import jax.numpy as jnp

from jaxssl.fields import Count, Positive
from jaxssl.methods import contrast
from jaxssl.methods.base import Aux, Batch, PyTree
from jaxssl.methods.two_towers import TwoTowers
from jaxssl.models import Projection, make_text_encoder
from jaxssl.ops import contrastive


@dataclasses.dataclass(frozen=True, kw_only=True)
class SigLIP:
  """Classifies every pair of an image and a text of the global batch.

  The loss is `ops.contrastive.sigmoid` of x = head(encoder(view)) and
  y = head'(text_encoder(text)) with a learned factor exp(t) of the cosines and
  a learned bias, which starts where nearly all pairs are told apart. At random
  embeddings of D numbers and the initial values the expected loss is about
  10 + 4.5e-5 exp(50 / D) (B - 1).

  State: `stats`, the batch statistics of the towers, if they have any.

  Attributes:
    encoder: module, images [b, H, W, 3] -> (features [b, D], out).
    text_encoder: module, token ids [b, L] -> (features [b, D'], out).
    head: projection of features into the joint space; each tower has one of its
      own.
    project_images: False for an image tower that ends in the joint space, as
      the authors' do (its features then have the width of the head).
    scale: what exp(t) starts from.
    bias: what the bias starts from.
    chunk: columns of the matrix of logits at a time (`ops.negatives`); None for
      all, which is faster as long as they fit into memory.

  References:
    Zhai et al., Sigmoid Loss for Language Image Pre-Training, 2023,
    https://arxiv.org/abs/2303.15343 (algorithm 1);
    https://github.com/google-research/big_vision.

  A frozen image tower (SigLiT) is a rule of the optimizer, see `CLIP`.
  """

  encoder: nn.Module
  text_encoder: nn.Module = dataclasses.field(
    default_factory=functools.partial(make_text_encoder, 'siglip_b')
  )
  head: nn.Module = dataclasses.field(
    default_factory=functools.partial(Projection, use_bias=True)
  )
  project_images: bool = True
  scale: Positive = 10.0
  # Of B² pairs only B belong together. From a bias of 0 the first steps would
  # go into learning that.
  bias: float = -10.0
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
    t = jnp.asarray(math.log(self.scale), jnp.float32)
    bias = jnp.asarray(self.bias, jnp.float32)
    params = {**params, 'logit_scale': t, 'logit_bias': bias}
    return params, {'stats': stats}

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
    loss, top1 = contrastive.sigmoid(
      embeddings['image'],
      embeddings['text'],
      scale=scale,
      bias=params['logit_bias'],
      chunk=self.chunk,
      axis_name=axis_name,
    )
    metrics = {
      'contrastive_top1': top1,
      'logit_scale': scale,
      'logit_bias': params['logit_bias'],
    }
    return loss, Aux(metrics, stats)

  def update(
    self, params: PyTree, state: PyTree, carry: PyTree, *, step: jax.Array
  ) -> tuple[PyTree, PyTree]:
    """See `Method.update`."""
    del state, step
    return params, {'stats': carry}

  def export(self, params: PyTree, state: PyTree) -> dict[str, PyTree]:
    """See `Method.export`.

    `encoder`, `text` (text encoder and head), `image_head` with
    `project_images`, and `logits` (`scale`: t, and `bias`).
    """
    towers = self.towers.export(params, state['stats'])
    logits = {'scale': params['logit_scale'], 'bias': params['logit_bias']}
    return {**towers, 'logits': {'params': logits}}

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
