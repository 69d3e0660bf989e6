"""Transformers over token ids: the text towers of image-text models."""

from typing import Any, Literal

from flax import linen as nn
from flax.typing import Dtype
import jax
import jax.numpy as jnp

from jaxssl import errors
from jaxssl.fields import Count, Positive, check_fields
from jaxssl.models import remat
from jaxssl.models.block import Block
from jaxssl.models.layer_norm import LayerNorm
from jaxssl.models.mlp import Deviations
from jaxssl.models.remat import Remat
from jaxssl.ops.captioning import end_of
from jaxssl.ops.row_major import row_major
from jaxssl.ops.tokens import take_tokens
from jaxssl.ops.word_table import look_up


class TextEncoder(nn.Module):
  """Transformer over a text of a fixed number of token ids.

  The attributes span the towers of four families, which `models.variants` has
  by name; each is equal to transformers' at the same weights:

    CLIP: causal, quick GELU, pooled at the end-of-text token.
    SigLIP: bidirectional without a mask, pooled at the last position (texts
      are padded to one length), LayerNorm epsilon 1e-6.
    BERT: bidirectional, padding masked, post-norm, pooled at the first token.
    GPT-2: causal, tanh GELU, pooled at the end-of-text token.

  A causal tower pooled at the end-of-text token never sees the padding behind
  it, so it needs no mask.

  Initial values are CLIP's for all pre-norm towers (clip/model.py of
  openai/CLIP): normal with deviation 0.02 for tokens, 0.01 for positions,
  D^-0.5 for queries, keys and values, (2D)^-0.5 for the MLP's first layer and
  D^-0.5 (2 depth)^-0.5 for what ends a branch; with `post_norm` 0.02 for all
  kernels, BERT's. SigLIP's authors draw Xavier-uniform kernels.

  Attributes:
    vocab_size: number of token ids.
    length: number of positions; texts may be shorter.
    dim: D, width of a token.
    depth: number of blocks.
    num_heads: attention heads; must divide `dim`.
    mlp_ratio: width of the MLPs over `dim`.
    pool: what becomes the features: 'eot' (the end-of-text token), 'last' or
      'cls' (the last or first position), or 'avg' (mean over the tokens that
      are not padding).
    eot_id: id of the end-of-text token, whose first occurrence counts; None:
      the largest id of the text, which it is in CLIP's and GPT-2's vocabulary.
    pad_id: id of padding that no token sees; None: padding is seen.
    causal: no token sees those after it.
    post_norm: BERT's order of normalisation, with one more LayerNorm before
      the blocks and none after them.
    act: activation of the MLPs.
    epsilon: ε of the LayerNorms.
    dtype: type of the computation; parameters and features are float32.
    remat: what each block computes again in the backward pass: False, True
      ('full') or 'dots', see `models.remat`.

  References:
    Radford et al., Learning Transferable Visual Models From Natural Language
    Supervision, 2021, https://arxiv.org/abs/2103.00020, section 2.4; Zhai et
    al., Sigmoid Loss for Language Image Pre-Training, 2023,
    https://arxiv.org/abs/2303.15343; Devlin et al., BERT, 2018,
    https://arxiv.org/abs/1810.04805; Radford et al., Language Models are
    Unsupervised Multitask Learners, 2019.
  """

  vocab_size: Count = 49408
  length: Count = 77
  dim: Count = 512
  depth: Count = 12
  num_heads: Count = 8
  mlp_ratio: Positive = 4.0
  pool: Literal['eot', 'last', 'cls', 'avg'] = 'eot'
  eot_id: int | None = None
  pad_id: int | None = None
  causal: bool = True
  post_norm: bool = False
  act: Literal['gelu', 'gelu_tanh', 'quick_gelu'] = 'quick_gelu'
  epsilon: float = 1e-5
  dtype: Dtype = jnp.float32
  remat: Remat = False

  def __post_init__(self) -> None:
    """Raises `UserError` for values that do not go together."""
    _check(self)
    super().__post_init__()

  @nn.compact
  def __call__(
    self,
    text: jax.Array,
    train: bool = False,
    axis_name: str | None = None,
    keys: jax.Array | None = None,
  ) -> tuple[jax.Array, dict[str, Any]]:
    """Encodes texts.

    Args:
      text: int32 [b, L] token ids, L at most `length`.
      train: unused (nothing is random); part of every encoder's signature.
      axis_name: mapped device axis, or None in the global view.
      keys: unused.

    Returns:
      Features float32 [b, D], and every intermediate, in `dtype`: 'tok_embed'
      [b, L, D] with positions; 'block00', 'block01', ...; 'encoded' [b, L, D]
      after the final norm; 'pre_logits' (the features).

    Raises:
      UserError: a text longer than `length`.
    """
    del train, keys
    if text.shape[1] > self.length:
      raise errors.UserError(
        f'texts of {text.shape[1]} tokens do not fit a text encoder of length '
        f'{self.length}; set text_encoder.length'
      )
    mask = None if self.pad_id is None else text != self.pad_id  # [b, L]
    out = {}
    x = self._embed(text, axis_name)
    x = self._norm('norm_pre')(x) if self.post_norm else x
    out['tok_embed'] = x
    x = self._run_blocks(x, mask, out)
    x = x if self.post_norm else self._norm('norm')(x)
    x = out['encoded'] = row_major(x)
    out['pre_logits'] = self._pool(x, text, mask).astype(jnp.float32)
    return out['pre_logits'], out

  def _embed(self, text: jax.Array, axis_name: str | None) -> jax.Array:
    table = self.param(
      'tok_embed',
      nn.initializers.normal(0.02),
      (self.vocab_size, self.dim),
      jnp.float32,
    )
    positions = self.param(
      'pos_embed',
      nn.initializers.normal(0.01),
      (1, self.length, self.dim),
      jnp.float32,
    )[:, : text.shape[1]]
    # An id outside of the vocabulary becomes NaN, which no run survives.
    tokens = look_up(table, text, self.dtype, axis_name)
    # In float32 until both are added: the gradient of the positions is a sum
    # over rows.
    tokens = tokens + jnp.broadcast_to(positions, tokens.shape)
    return tokens.astype(self.dtype)

  def _run_blocks(
    self, x: jax.Array, mask: jax.Array | None, out: dict[str, Any]
  ) -> jax.Array:
    block_class = remat.block(Block, self.remat)
    visible = None if mask is None else mask[:, None, None, :]
    for i in range(self.depth):
      x = out[f'block{i:02d}'] = block_class(
        num_heads=self.num_heads,
        mlp_ratio=self.mlp_ratio,
        layer_scale=None,
        drop_rate=0.0,
        dtype=self.dtype,
        act=self.act,
        epsilon=self.epsilon,
        causal=self.causal,
        post_norm=self.post_norm,
        deviations=self._deviations(),
        name=f'blocks_{i}',
      )(x, None, None, visible)
    return x

  def _pool(
    self, x: jax.Array, text: jax.Array, mask: jax.Array | None
  ) -> jax.Array:
    """Pools tokens [b, L, D] to [b, D]."""
    if self.pool == 'avg':
      weights = jnp.ones_like(text) if mask is None else mask
      weights = weights.astype(jnp.float32)
      # A text may be nothing but padding.
      total = jnp.maximum(weights.sum(1, keepdims=True), 1.0)
      return jnp.einsum('bl,bld->bd', weights / total, x.astype(jnp.float32))
    if self.pool == 'eot':
      end = end_of(text, self.eot_id)
      # Not an index of arrays, whose gradient is a scatter.
      return take_tokens(x, end[:, None])[:, 0]
    return x[:, 0 if self.pool == 'cls' else -1]

  def _norm(self, name: str) -> LayerNorm:
    return LayerNorm(self.epsilon, self.dtype, name=name)

  @nn.nowrap
  def _deviations(self) -> Deviations:
    if self.post_norm:
      return Deviations()
    # 2 depth branches add up in the residual stream.
    wide, last = self.dim**-0.5, (2 * self.depth) ** -0.5
    return Deviations(
      qkv=wide, proj=wide * last, fc1=wide * 2**-0.5, fc2=wide * last
    )


def _check(encoder: TextEncoder) -> None:
  check_fields(encoder)
  if encoder.dim % encoder.num_heads:
    raise errors.UserError(
      f'text encoder width {encoder.dim} is not divisible by num_heads '
      f'{encoder.num_heads}'
    )
