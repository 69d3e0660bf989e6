"""Colorization: predict the colours of a gray image."""

import dataclasses
import functools
from typing import Annotated

from flax import linen as nn
import jax
import jax.numpy as jnp

from jaxssl.fields import Count, Range, check_fields
from jaxssl.methods import row_sums, variables
from jaxssl.methods.base import Batch, PyTree, RowSums
from jaxssl.models.color_net import ColorNet
from jaxssl.ops import ab_bins, lab


@dataclasses.dataclass(frozen=True, kw_only=True)
class Colorization:
  """Classifies the colour of each place from the lightness of the first view.

  The view is split into L*, a*, b*. The encoder sees L / 100 in all three
  channels. With z the colour at a place, spread over its ten nearest of 313
  bins of the a*b* plane, q*(z) the nearest, and p the model's distribution,

    loss = mean over images and places of  -w(q*) sum_q z_q log p_q
    w_q ~ 1 / ((1 - lambda) prior_q + lambda / 313),  sum_q prior_q w_q = 1

  Rare, vivid colours would otherwise drown in gray. Images without any colour,
  max(|a*|, |b*|) <= `min_color`, carry no loss, but count in the mean.

  The views must be RGB in [0, 1]: recipes without mean and deviation
  (`colorization`). Later, the encoder sees colour images in the same range; for
  a gray one both are nearly the same.

  State: `stats`, the batch statistics of the encoder; `color_sum` [313] and
  `color_count`, from which the prior follows: the mean of z over all places of
  all coloured images so far, and of one uniform image to begin with.

  Attributes:
    encoder: module, images [b, H, W, 3] -> (features, out) with a spatial map
      (`models.color_net`).
    decoder_dim: channels of the decoder.
    output_stride: colours are predicted at every so many pixels; divides the
      side of the views, and ViT patches or the ResNet's stride by a power of 2.
    uniform: lambda, share of the uniform distribution in the weights.
    min_color: what counts as coloured, in units of a* and b*.

  References:
    Zhang et al., Colorful Image Colorization, 2016,
    https://arxiv.org/abs/1603.08511 (equations 2 to 5);
    https://github.com/richzhang/colorization.

  Differs from the authors' code: any encoder, with the decoder of `ColorNet`,
  instead of a VGG-like network of stride 8; L / 100 in three channels instead
  of L - 50 in one, so that the same encoder takes colour images later; the
  prior is estimated while training instead of before it from ImageNet, and
  smoothed by the spread over bins instead of afterwards.
  """

  encoder: nn.Module
  decoder_dim: Count = 256
  output_stride: Count = 4
  uniform: Annotated[float, Range(0, 1, without_low=True)] = 0.5
  min_color: float = 5.0

  loss = row_sums.mean_loss

  def __post_init__(self) -> None:
    """Raises `UserError` for numbers out of range."""
    check_fields(self)

  @property
  def net(self) -> ColorNet:
    """Encoder and decoder as one module."""
    return ColorNet(
      self.encoder,
      len(ab_bins.bin_centers()),
      self.decoder_dim,
      self.output_stride,
    )

  def init(self, key: jax.Array, batch: Batch) -> tuple[PyTree, PyTree]:
    """See `Method.init`."""
    params, stats = variables.split(
      self.net.init(key, batch['views'][0], train=False)
    )
    bins = len(ab_bins.bin_centers())
    return params, {
      'stats': stats,
      # As if one image of all colours alike had been seen: without it the prior
      # of the first step would be 0 / 0.
      'color_sum': jnp.full((bins,), 1.0 / bins),
      'color_count': jnp.ones(()),
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
    del step
    image = lab.rgb_to_lab(batch['views'][0])
    logits, stats = variables.apply_train(
      self.net,
      params,
      state['stats'],
      gray_input(image),
      axis_name=axis_name,
      keys=keys,
    )
    # Pixels are left out, as in the authors' code. The mean of several would be
    # grayer than each of them.
    coarse = image[:, :: self.output_stride, :: self.output_stride]
    bins, soft = ab_bins.soft_encode(coarse[..., 1:])
    # Of the batches before: the weights are then the same on all devices and in
    # all parts of a batch.
    prior = state['color_sum'] / state['color_count']
    # The nearest bin comes first.
    weight = ab_bins.class_weights(prior, uniform=self.uniform)[bins[..., 0]]
    entropy = soft_cross_entropy(logits, bins, soft)
    # Of an image as a whole, of which one vivid pixel is enough.
    colored = jnp.abs(image[..., 1:]).max((1, 2, 3)) > self.min_color
    colored = colored.astype(jnp.float32)
    right = logits.argmax(-1) == bins[..., 0]
    seen = {
      'right': right.mean((1, 2)).sum(),
      'colors': _color_sum(bins, soft, colored),
      'colored': colored.sum(),
    }
    loss = jnp.sum((weight * entropy).mean((1, 2)) * colored)
    return RowSums(loss, jnp.asarray(len(image), jnp.float32), seen), stats

  def summarize(
    self, sums: RowSums, stats: PyTree
  ) -> tuple[dict[str, jax.Array], PyTree]:
    """See `RowWise.summarize`."""
    seen = sums.seen
    metrics = {
      'color_top1': seen['right'] / sums.weight,
      'colored': seen['colored'] / sums.weight,
    }
    return metrics, (stats, seen['colors'], seen['colored'])

  def update(
    self, params: PyTree, state: PyTree, carry: PyTree, *, step: jax.Array
  ) -> tuple[PyTree, PyTree]:
    """See `Method.update`."""
    del step
    stats, color_sum, count = carry
    return params, {
      'stats': stats,
      'color_sum': state['color_sum'] + color_sum,
      'color_count': state['color_count'] + count,
    }

  def export(self, params: PyTree, state: PyTree) -> dict[str, PyTree]:
    """See `Method.export`."""
    return {'encoder': variables.tower('encoder', params, state['stats'])}

  def colorize(
    self,
    params: PyTree,
    state: PyTree,
    images: jax.Array,
    *,
    temperature: float = 0.38,
  ) -> jax.Array:
    """Paints images in the predicted colours, to look at.

    Args:
      params: as `init` returns.
      state: as `init` returns.
      images: RGB [b, H, W, 3] in [0, 1]; only their lightness is used.
      temperature: temperature for `ops.ab_bins.annealed_mean`.

    Returns:
      RGB float32 [b, H, W, 3] in [0, 1], with the lightness of `images` as far
      as sRGB allows.
    """
    image = lab.rgb_to_lab(images)
    logits = variables.apply(
      self.net,
      {'params': params, **state['stats']},
      gray_input(image),
      train=False,
    )
    ab = ab_bins.annealed_mean(logits, temperature=temperature)
    # Colours, not logits, are enlarged: 2 channels instead of 313.
    ab = jax.image.resize(ab, (*image.shape[:3], 2), 'bilinear')
    return lab.lab_to_rgb(jnp.concatenate([image[..., :1], ab], axis=-1))


def gray_input(image: jax.Array) -> jax.Array:
  """Returns L / 100 in three channels for an L*a*b* image [b, H, W, 3]."""
  return jnp.repeat(image[..., :1] / 100.0, 3, axis=-1)


def soft_cross_entropy(
  logits: jax.Array, bins: jax.Array, weights: jax.Array
) -> jax.Array:
  """Returns -sum_k weights_k log softmax(logits)_{bins_k}.

  Args:
    logits: [..., Q].
    bins: int32 [..., K], the classes that are not zero.
    weights: [..., K].

  Returns:
    float32 [...].
  """
  log_probs = jax.nn.log_softmax(logits.astype(jnp.float32), axis=-1)
  return jax.lax.platform_dependent(
    log_probs, bins, weights, cuda=_dense_entropy, default=_sparse_entropy
  )


def _sparse_entropy(
  log_probs: jax.Array, bins: jax.Array, weights: jax.Array
) -> jax.Array:
  # Ten of 313 classes; the gradient is a scatter, whose places never meet.
  chosen = jnp.take_along_axis(log_probs, bins, axis=-1)
  return -jnp.sum(chosen * weights, axis=-1)


def _dense_entropy(
  log_probs: jax.Array, bins: jax.Array, weights: jax.Array
) -> jax.Array:
  return -jnp.sum(log_probs * _dense(bins, weights, log_probs.shape[-1]), -1)


def _dense(bins: jax.Array, weights: jax.Array, size: int) -> jax.Array:
  """Returns the weights of all classes, [..., Q], zero where none is given.

  A GPU computes them wherever they are used and keeps them nowhere.
  """

  def one(k: int) -> jax.Array:
    return jax.nn.one_hot(bins[..., k], size) * weights[..., k, None]

  return functools.reduce(jnp.add, map(one, range(bins.shape[-1])))


def _color_sum(
  bins: jax.Array, soft: jax.Array, colored: jax.Array
) -> jax.Array:
  """Returns the sum of z over coloured images, of each the mean, [313]."""
  share = colored[:, None, None, None] / (bins.shape[1] * bins.shape[2])
  return jax.lax.platform_dependent(
    bins, soft * share, cuda=_counted, default=_scattered
  )


def _scattered(bins: jax.Array, weights: jax.Array) -> jax.Array:
  # On a GPU a scatter adds in any order. On a CPU, one-hot rows would be 313
  # numbers for each of ten bins of each place.
  zeros = jnp.zeros((len(ab_bins.bin_centers()),))
  return zeros.at[bins].add(weights)


def _counted(bins: jax.Array, weights: jax.Array) -> jax.Array:
  return _dense(bins, weights, len(ab_bins.bin_centers())).sum((0, 1, 2))
