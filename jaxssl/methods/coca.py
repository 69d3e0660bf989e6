"""CoCa: CLIP whose text tower goes on to write the caption."""

from collections.abc import Mapping
import dataclasses

from flax import linen as nn
import jax
import jax.numpy as jnp

from jaxssl import errors
from jaxssl.fields import Count, NonNegative, Positive, check_fields
from jaxssl.methods import contrast
from jaxssl.methods import variables as variables_lib
from jaxssl.methods.base import Aux, Batch, PyTree
from jaxssl.methods.clip import CLIP
from jaxssl.methods.two_towers import flat_texts, image_tokens, vectors
from jaxssl.models import Projection, TextEncoder
from jaxssl.models.caption_decoder import CaptionDecoder
from jaxssl.ops.captioning import caption_entropy
from jaxssl.parallel import collectives


@dataclasses.dataclass(frozen=True, kw_only=True)
class CoCa:
  """Contrasts images and texts, and predicts each text from its image.

    loss = w clip(images, texts)
           + w' mean over all tokens t of the global batch of
             -log softmax(logits of token t | tokens before it, image)[t]

  The first term is `CLIP`'s. For the second the tokens of the causal text tower
  go through a decoder whose tokens also look at those of the image; the start
  token is not predicted, and neither is padding. Texts of more tokens count
  more, on any device. At initialisation it is about w chance(B) + w' (ln V +
  1/2): logits start with the variance 1.

  Metrics: `clip_loss` and `caption_loss`, the two terms without weights; those
  of `CLIP`.

  State: that of `CLIP`.

  Attributes:
    encoder: module, images [b, H, W, 3] -> (features [b, D], out), with patches
      or stages in `out`. The authors pool by attention: `pool='map'`.
    text_encoder: causal module, token ids [b, L] -> (features [b, D'], out).
    head: see `CLIP`.
    project_images: see `CLIP`.
    temperature: see `CLIP`.
    chunk: see `CLIP`.
    contrastive_weight: w.
    caption_weight: w'.
    decoder_depth: pairs of blocks of the decoder, which has the width, the
      heads and the type of the text tower; None for as many as that has blocks.

  Raises:
    UserError: a text tower whose tokens see those after them.

  References:
    Yu et al., CoCa: Contrastive Captioners are Image-Text Foundation Models,
    2022, https://arxiv.org/abs/2205.01917 (equations 1 to 4); coca_model.py and
    loss.py of https://github.com/mlfoundations/open_clip. The authors published
    no code.

  Differs from the paper: the text is pooled at its end token, which sees all of
  it, and not at one more token behind it; the decoder looks at all patches, not
  at 256 that a pooler makes of them (the paper's images have 256 patches).
  open_clip builds both kinds, and averages over the tokens of a device.
  """

  encoder: nn.Module
  text_encoder: TextEncoder = dataclasses.field(default_factory=TextEncoder)
  head: nn.Module = dataclasses.field(default_factory=Projection)
  project_images: bool = True
  temperature: Positive = 0.07
  chunk: Count | None = None
  contrastive_weight: NonNegative = 1.0
  caption_weight: NonNegative = 2.0
  decoder_depth: Count | None = None

  loss = contrast.loss

  def __post_init__(self) -> None:
    """Raises `UserError` for values that do not go together."""
    check_fields(self)
    if not self.text_encoder.causal:
      raise errors.UserError(
        "method 'coca' predicts each token from those before it, and this text "
        'tower sees all; set text_encoder.causal=True, or take a tower of CLIP '
        'or GPT-2'
      )

  @property
  def clip(self) -> CLIP:
    """The part that compares."""
    return CLIP(
      encoder=self.encoder,
      text_encoder=self.text_encoder,
      head=self.head,
      project_images=self.project_images,
      temperature=self.temperature,
      chunk=self.chunk,
    )

  @property
  def decoder(self) -> CaptionDecoder:
    """The part that writes."""
    text = self.text_encoder
    return CaptionDecoder(
      vocab_size=text.vocab_size,
      depth=self.decoder_depth or text.depth,
      num_heads=text.num_heads,
      mlp_ratio=text.mlp_ratio,
      act=text.act,
      epsilon=text.epsilon,
      dtype=text.dtype,
      remat=text.remat,
    )

  def init(self, key: jax.Array, batch: Batch) -> tuple[PyTree, PyTree]:
    """See `Method.init`."""
    clip_key, decoder_key = jax.random.split(key)
    params, state = self.clip.init(clip_key, batch)

    def tokens(params: PyTree) -> tuple[jax.Array, jax.Array]:
      # None drops a path: only the shapes are looked at.
      keys = jax.random.split(key, len(batch['text']))
      found, _ = self.clip.towers.outputs(
        params, state['stats'], batch, keys=keys
      )
      return _tokens(found, batch)

    shapes = jax.eval_shape(tokens, params)
    blank = [jnp.zeros(x.shape, x.dtype) for x in shapes]
    decoder = self.decoder.init(decoder_key, *blank)
    return {**params, 'decoder': decoder['params']}, state

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
    found, stats = self.clip.towers.outputs(
      params, state['stats'], batch, keys=keys, axis_name=axis_name
    )
    logits = variables_lib.apply(
      self.decoder, {'params': params['decoder']}, *_tokens(found, batch)
    )
    # A sum for each text: no part of a batch has to know the others' lengths,
    # and no logits are kept.
    cost, count = caption_entropy(
      logits, flat_texts(batch['text']), self.text_encoder.eot_id
    )
    rows = (len(keys), -1)
    return {
      **vectors(found, batch),
      'cost': cost.reshape(rows),
      'count': count.reshape(rows),
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
    clip_loss, aux = self.clip.compare(
      params, state, embeddings, stats, step=step, axis_name=axis_name
    )
    # Devices hold texts of other lengths; each divides by the same number.
    count = collectives.pmean(jnp.sum(embeddings['count']), axis_name)
    caption_loss = jnp.sum(embeddings['cost']) / jnp.maximum(count, 1.0)
    loss = (
      self.contrastive_weight * clip_loss + self.caption_weight * caption_loss
    )
    losses = {'clip_loss': clip_loss, 'caption_loss': caption_loss}
    return loss, Aux({**losses, **aux.metrics}, aux.carry)

  def update(
    self, params: PyTree, state: PyTree, carry: PyTree, *, step: jax.Array
  ) -> tuple[PyTree, PyTree]:
    """See `Method.update`; clamps the temperature."""
    return self.clip.update(params, state, carry, step=step)

  def export(self, params: PyTree, state: PyTree) -> dict[str, PyTree]:
    """See `Method.export`; the towers of `CLIP`, and `decoder`."""
    towers = self.clip.export(params, state)
    return {**towers, 'decoder': {'params': params['decoder']}}

  def encode_image(self, towers: PyTree, images: jax.Array) -> jax.Array:
    """See `TwoTowers.encode_image`."""
    return self.clip.encode_image(towers, images)

  def encode_text(self, towers: PyTree, text: jax.Array) -> jax.Array:
    """See `TwoTowers.encode_text`."""
    return self.clip.encode_text(towers, text)

  def with_towers(
    self, params: PyTree, state: PyTree, towers: Mapping[str, PyTree]
  ) -> tuple[PyTree, PyTree]:
    """See `TwoTowers.with_text`; the tower is `text`."""
    return self.clip.with_towers(params, state, towers)


def _tokens(found: PyTree, batch: Batch) -> tuple[jax.Array, jax.Array]:
  """Returns what the decoder reads: tokens of the texts and of the images.

  Args:
    found: what `TwoTowers.outputs` returns.
    batch: `views` and `text`.
  """
  # Nothing comes after the last token.
  return found['text'][1]['encoded'][:, :-1], image_tokens(found, batch)
