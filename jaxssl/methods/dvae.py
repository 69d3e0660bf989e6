"""The discrete VAE of DALL-E: an image tokenizer, the one that BEiT needs."""

import dataclasses
import math

import jax
import jax.numpy as jnp

from jaxssl import errors
from jaxssl.augment.bands import RGB, require_channels
from jaxssl.fields import Count, NonNegative, Positive, check_fields
from jaxssl.methods import row_sums, variables
from jaxssl.methods.base import Batch, PyTree, RowSums
from jaxssl.models.dvae import (
  STRIDE,
  DVAEDecoder,
  DVAEEncoder,
  map_pixels,
  unmap_pixels,
)
from jaxssl.ops import schedules


@dataclasses.dataclass(frozen=True, kw_only=True)
class DVAE:
  """Autoencodes images through a grid of relaxed categorical codes.

  With logits l of the encoder, Gumbel noise g and temperature t, the decoder
  sees y = softmax((l + g) / t) at each place, and

    loss = mean over pixels of -ln p(x | y)
           + kl_weight / (64 C) * mean over places of KL(softmax(l) | uniform)

  p is the logit-Laplace distribution of `logit_laplace_nll`; 64 C is 8 8 C, the
  pixel values that one code stands for (192 of RGB): the negative evidence
  lower bound (with weight `kl_weight`) of an image divided by its number of
  values.

  The code of a place downstream is the argmax of its logits. How many codes
  the batch uses is watched: `codes_used` (share of the vocabulary) and
  `perplexity`, exp of the entropy of their frequencies.

  The encoder is DALL-E's (encoder name 'dvae') and takes images in [0, 1]
  without mean and deviation. At initialisation the decoder knows nothing, so
  location and log-scale are about 0, and the loss is about
  ln 2 + mean of (ln x(1 - x) + |logit x|) of the mapped pixels x.

  State: nothing.

  Attributes:
    encoder: a `DVAEEncoder`.
    temperature: t, a number or a schedule. The authors: cosine from 1 to 1/16
      over the first 150 000 steps.
    kl_weight: a number or a schedule. The authors: 0 to 6.6 over the first
      5000 steps.
    decoder_init_width: channels that a code becomes first in the decoder.
    channels: C of the images.

  References:
    Ramesh et al., Zero-Shot Text-to-Image Generation, 2021,
    https://arxiv.org/abs/2102.12092 (section 2.1, appendix A);
    https://github.com/openai/DALL-E (networks only; no training code exists).

  Differs from the paper: no exponential average of the weights. The code
  usage counts the codes of a batch, so with fewer places in a batch than codes
  in the vocabulary it cannot reach 1.
  """

  encoder: DVAEEncoder
  temperature: Positive | schedules.Schedule = 1.0
  kl_weight: NonNegative | schedules.Schedule = 6.6
  decoder_init_width: int = 128
  channels: Count = RGB

  loss = row_sums.mean_loss

  def __post_init__(self) -> None:
    """Raises `UserError` for another encoder or a temperature below 0."""
    if not isinstance(self.encoder, DVAEEncoder):
      raise errors.UserError("method 'dvae' needs encoder.name='dvae'")
    check_fields(self)

  @property
  def decoder(self) -> DVAEDecoder:
    """The decoder, as wide and deep as the encoder."""
    return DVAEDecoder(
      channels=self.channels,
      width=self.encoder.width,
      blocks_per_group=self.encoder.blocks_per_group,
      init_width=self.decoder_init_width,
      dtype=self.encoder.dtype,
      remat=self.encoder.remat,
    )

  def init(self, key: jax.Array, batch: Batch) -> tuple[PyTree, PyTree]:
    """See `Method.init`."""
    images = batch['views'][0]
    require_channels('dvae', self.channels, images.shape[-1])
    encoder_key, decoder_key = jax.random.split(key)
    (_, out), encoder = self.encoder.init_with_output(encoder_key, images)
    decoder = self.decoder.init(decoder_key, out['logits'])
    return {'encoder': encoder['params'], 'decoder': decoder['params']}, {}

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
    del state, axis_name
    images = batch['views'][0]
    logits = self._logits(params, images)
    # One key per row: an image meets the same noise on any device.
    noise = jax.vmap(lambda k: jax.random.gumbel(k, logits.shape[1:]))(keys)
    temperature = schedules.value_at(self.temperature, step)
    # Relaxed, because a code that is drawn has no gradient; the lower the
    # temperature, the nearer it comes to one.
    codes = jax.nn.softmax((logits + noise) / temperature)
    location, log_scale = self._decode(params, codes)
    nll = logit_laplace_nll(map_pixels(images), location, log_scale).mean()
    kl = kl_from_uniform(logits).mean()
    values = self.channels * STRIDE**2
    weight = schedules.value_at(self.kl_weight, step) / values
    error = jnp.square(unmap_pixels(jax.nn.sigmoid(location)) - images)
    seen = {
      'nll': nll,
      'kl': kl,
      'mse': error.mean(),
      'temperature': jnp.asarray(temperature, jnp.float32),
      'codes': code_frequencies(logits.argmax(-1), logits.shape[-1]),
    }
    rows = jnp.asarray(len(images), jnp.float32)
    # Weight 1 becomes the number of rows, as means become sums.
    means = RowSums(nll + weight * kl, jnp.ones(()), seen)
    return jax.tree.map(lambda x: rows * x, means), {}

  def summarize(
    self, sums: RowSums, stats: PyTree
  ) -> tuple[dict[str, jax.Array], PyTree]:
    """See `RowWise.summarize`."""
    del stats
    means = jax.tree.map(lambda x: x / sums.weight, sums.seen)
    usage = code_usage(means.pop('codes'))
    return {**means, **usage}, ()

  def update(
    self, params: PyTree, state: PyTree, carry: PyTree, *, step: jax.Array
  ) -> tuple[PyTree, PyTree]:
    """See `Method.update`."""
    del carry, step
    return params, state

  def export(self, params: PyTree, state: PyTree) -> dict[str, PyTree]:
    """See `Method.export`: the towers `encoder` and `decoder`."""
    del state
    return {name: {'params': tree} for name, tree in params.items()}

  def reconstruct(self, params: PyTree, images: jax.Array) -> jax.Array:
    """Returns images as their most likely codes show them.

    Args:
      params: parameters from `init`.
      images: [b, H, W, C] in [0, 1].

    Returns:
      float32 [b, H, W, C] in [0, 1].
    """
    return self.decode(params, self._logits(params, images).argmax(-1))

  def decode(self, params: PyTree, codes: jax.Array) -> jax.Array:
    """Returns the images that codes stand for.

    Args:
      params: holds `decoder`, as `init` makes it.
      codes: int [b, h, w].

    Returns:
      float32 [b, 8 h, 8 w, C] in [0, 1].
    """
    one_hot = jax.nn.one_hot(codes, self.encoder.vocab_size)
    # The scale says how sure the decoder is; the picture is the median.
    location, _ = self._decode(params, one_hot)
    return unmap_pixels(jax.nn.sigmoid(location))

  def _logits(self, params: PyTree, images: jax.Array) -> jax.Array:
    _, out = variables.apply(
      self.encoder, {'params': params['encoder']}, images
    )
    return out['logits']

  def _decode(
    self, params: PyTree, codes: jax.Array
  ) -> tuple[jax.Array, jax.Array]:
    return variables.apply(self.decoder, {'params': params['decoder']}, codes)


def logit_laplace_nll(
  x: jax.Array, location: jax.Array, log_scale: jax.Array
) -> jax.Array:
  """Negative logarithm of the logit-Laplace density, element by element.

  -ln p(x) = ln(2 s) + ln(x (1 - x)) + |logit(x) - m| / s

  Source: arXiv 2102.12092, appendix A.3.

  Args:
    x: in (0, 1), away from the ends (`map_pixels`).
    location: m.
    log_scale: ln s.
  """
  logit = jnp.log(x) - jnp.log1p(-x)
  distance = jnp.abs(logit - location) * jnp.exp(-log_scale)
  return math.log(2) + log_scale + jnp.log(x) + jnp.log1p(-x) + distance


def kl_from_uniform(logits: jax.Array) -> jax.Array:
  """KL divergence of softmax(logits) from the uniform distribution.

  sum_k q_k ln q_k + ln K

  Args:
    logits: [..., K].

  Returns:
    [...], between 0 and ln K.
  """
  log_q = jax.nn.log_softmax(logits)
  # From logarithms: q ln q would be 0 times -inf where q underflows.
  return (jnp.exp(log_q) * log_q).sum(-1) + math.log(logits.shape[-1])


def code_frequencies(codes: jax.Array, vocab_size: int) -> jax.Array:
  """Returns the share of each of K codes among int [b, ...], float32 [K]."""
  # On a CPU a scatter of so many ones; on a GPU it would add in any order.
  counts = jax.lax.platform_dependent(
    codes.reshape(-1),
    cuda=lambda x: jax.nn.one_hot(x, vocab_size, dtype=jnp.int32).sum(0),
    default=lambda x: jnp.bincount(x, length=vocab_size),
  )
  return counts.astype(jnp.float32) / codes.size


def code_usage(frequencies: jax.Array) -> dict[str, jax.Array]:
  """Measures how much of a vocabulary is used.

  Args:
    frequencies: float32 [K], summing to 1.

  Returns:
    `codes_used`: share of the K codes that occur, in (0, 1]; `perplexity`: exp
    of the entropy of their frequencies, in [1, K].
  """
  p = frequencies
  # A code that does not occur adds 0 ln 1 instead of 0 ln 0.
  entropy = -(p * jnp.log(jnp.where(p > 0, p, 1.0))).sum()
  return {
    'codes_used': (p > 0).astype(jnp.float32).mean(),
    'perplexity': jnp.exp(entropy),
  }
