"""Batch normalisation over the global batch, running statistics as PyTorch."""

from flax import linen as nn
from flax.typing import Dtype
import jax
import jax.numpy as jnp

from jaxssl.parallel import collectives


class BatchNorm(nn.Module):
  """Batch normalisation (Ioffe and Szegedy, arXiv 1502.03167, algorithm 1).

  `y = (x - E[x]) / sqrt(Var[x] + epsilon) * scale + bias`, each channel (last
  axis) over all other axes and over all devices of `axis_name`. In the global
  view the rows at hand are the global batch already.

  Statistics are float32 and take two passes: device mean and variance, merged
  as `Var = E_d[Var_d] + E_d[(mean_d - mean)^2]`. Flax's one-pass
  `E[x^2] - E[x]^2` loses all digits where a channel's mean is large.

  Running statistics follow PyTorch, not Flax: the running variance is of the
  unbiased variance, over the global count. They change only in training, and
  only if the caller made the collection `batch_stats` mutable.

  Attributes:
    use_scale: learn `scale`, which starts from `scale_init`.
    use_bias: learn `bias`, which starts at zero.
    momentum: weight of the old running statistics (1 - PyTorch's momentum).
    epsilon: added to the variance.
    scale_init: initialiser of `scale`.
    dtype: type of the result; parameters and statistics are float32.
  """

  use_scale: bool = True
  use_bias: bool = True
  momentum: float = 0.9
  epsilon: float = 1e-5
  scale_init: nn.initializers.Initializer = nn.initializers.ones
  dtype: Dtype = jnp.float32

  @nn.compact
  def __call__(
    self, x: jax.Array, *, train: bool, axis_name: str | None = None
  ) -> jax.Array:
    """Normalises `x` [..., C].

    Args:
      x: activations; any number of leading axes, at least one.
      train: normalise with the statistics of the batch and update the running
        ones; otherwise normalise with the running ones.
      axis_name: mapped device axis, or None in the global view.

    Returns:
      An array of the shape of `x` and type `dtype`.
    """
    channels = x.shape[-1:]
    running_mean = self.variable(
      'batch_stats', 'mean', jnp.zeros, channels, jnp.float32
    )
    running_var = self.variable(
      'batch_stats', 'var', jnp.ones, channels, jnp.float32
    )
    x = x.astype(jnp.float32)
    if train:
      mean, var, count = _global_statistics(x, axis_name)
      if self.is_mutable_collection('batch_stats') and not (
        self.is_initializing()
      ):
        unbiased = var * (count / max(count - 1, 1))
        running_mean.value = self._blend(running_mean.value, mean)
        running_var.value = self._blend(running_var.value, unbiased)
    else:
      mean, var = running_mean.value, running_var.value
    factor = jax.lax.rsqrt(var + self.epsilon)
    if self.use_scale:
      factor *= self.param('scale', self.scale_init, channels, jnp.float32)
    y = _along_last(x, jnp.subtract, mean)
    y = _along_last(y, jnp.multiply, factor)
    if self.use_bias:
      bias = self.param('bias', nn.initializers.zeros, channels, jnp.float32)
      y = _along_last(y, jnp.add, bias)
    return y.astype(self.dtype)

  def _blend(self, old: jax.Array, new: jax.Array) -> jax.Array:
    return self.momentum * old + (1.0 - self.momentum) * new


def _along_last(x, operation, vector):
  return operation(x, jnp.broadcast_to(vector, x.shape))


def _global_statistics(x, axis_name):
  """Returns mean [C], biased variance [C] and the global count a channel."""
  axes = tuple(range(x.ndim - 1))
  local_mean = x.mean(axes)
  local_var = jnp.square(_along_last(x, jnp.subtract, local_mean)).mean(axes)
  mean = collectives.pmean(local_mean, axis_name)
  spread = jnp.square(local_mean - mean)
  var = collectives.pmean(local_var + spread, axis_name)
  devices = collectives.axis_size(axis_name)
  return mean, var, devices * (x.size // x.shape[-1])
