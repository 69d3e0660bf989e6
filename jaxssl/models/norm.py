"""Batch normalisation over the global batch, running statistics as PyTorch."""

from flax import linen as nn
from flax.typing import Dtype
import jax
import jax.numpy as jnp

from jaxssl import errors
from jaxssl.parallel import collectives


class BatchNorm(nn.Module):
  """Batch normalisation (Ioffe and Szegedy, arXiv 1502.03167, algorithm 1).

  `y = (x - E[x]) / sqrt(Var[x] + epsilon) * scale + bias`, each channel (last
  axis) over all other axes and over all devices of `axis_name`. In the global
  view the rows at hand are the global batch already.

  Statistics are float32 and take two passes: device mean and variance, merged
  as `Var = E_d[Var_d] + E_d[(mean_d - mean)^2]`. Flax's one-pass
  `E[x^2] - E[x]^2` loses all digits where a channel's mean is large.

  With `num_groups` G > 1 the rows of the global batch form G groups of
  neighbours, each normalised by itself, as G devices without synchronised
  statistics would (MoCo v1 and v2). The running statistics are then the mean
  over groups; the authors keep those of the first device.

  Running statistics follow PyTorch, not Flax: the running variance is of the
  unbiased variance, over the global count (of a group). They change only in
  training, and only if the caller made the collection `batch_stats` mutable.

  Attributes:
    use_scale: learn `scale`, which starts from `scale_init`.
    use_bias: learn `bias`, which starts at zero.
    momentum: weight of the old running statistics (1 - PyTorch's momentum).
    epsilon: added to the variance.
    scale_init: initialiser of `scale`.
    num_groups: G; must divide the global batch, and be divisible by the devices
      of `axis_name`, so that no group spans two of them.
    dtype: type of the result; parameters and statistics are float32.
  """

  use_scale: bool = True
  use_bias: bool = True
  momentum: float = 0.9
  epsilon: float = 1e-5
  scale_init: nn.initializers.Initializer = nn.initializers.ones
  num_groups: int = 1
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

    Raises:
      UserError: groups that do not fit the batch or the devices.
    """
    channels = x.shape[-1:]
    running_mean = self.variable(
      'batch_stats', 'mean', jnp.zeros, channels, jnp.float32
    )
    running_var = self.variable(
      'batch_stats', 'var', jnp.ones, channels, jnp.float32
    )
    shape, x = x.shape, x.astype(jnp.float32)
    if train:
      groups = self._groups_at_hand(len(x), axis_name)
      if groups is not None:
        x = x.reshape(groups, -1, *shape[1:])
      mean, var, count = _statistics(x, axis_name, grouped=groups is not None)
      if self.is_mutable_collection('batch_stats') and not (
        self.is_initializing()
      ):
        unbiased = var * (count / max(count - 1, 1))
        running_mean.value = self._blend(
          running_mean.value, self._mean_over_groups(mean, axis_name)
        )
        running_var.value = self._blend(
          running_var.value, self._mean_over_groups(unbiased, axis_name)
        )
    else:
      mean, var = running_mean.value, running_var.value
    factor = jax.lax.rsqrt(var + self.epsilon)
    if self.use_scale:
      scale = self.param('scale', self.scale_init, channels, jnp.float32)
      factor *= jnp.broadcast_to(scale, factor.shape)
    y = _along_channels(x, jnp.subtract, mean)
    y = _along_channels(y, jnp.multiply, factor).reshape(shape)
    if self.use_bias:
      bias = self.param('bias', nn.initializers.zeros, channels, jnp.float32)
      y = _along_channels(y, jnp.add, bias)
    return y.astype(self.dtype)

  def _groups_at_hand(self, rows: int, axis_name: str | None) -> int | None:
    """Returns the number of groups among these rows, None without groups."""
    if self.num_groups == 1 or self.is_initializing():
      return None
    devices = collectives.axis_size(axis_name)
    groups = self.num_groups // devices
    if self.num_groups % devices or rows % groups:
      raise errors.UserError(
        f'{self.num_groups} groups of BatchNorm do not fit a batch of '
        f'{rows * devices} on {devices} devices: they must divide the batch, '
        'and the devices must divide them'
      )
    return groups

  def _mean_over_groups(self, x: jax.Array, axis_name: str | None) -> jax.Array:
    if x.ndim == 1:
      return x
    return collectives.pmean(x.mean(0), axis_name)

  def _blend(self, old: jax.Array, new: jax.Array) -> jax.Array:
    return self.momentum * old + (1.0 - self.momentum) * new


def _along_channels(x, operation, vector):
  """Applies `operation` with `vector` [C], or [G, C] where `x` has groups."""
  if vector.ndim == 2:
    vector = vector.reshape(len(vector), *(1,) * (x.ndim - 2), -1)
  return operation(x, jnp.broadcast_to(vector, x.shape))


def _statistics(x, axis_name, *, grouped):
  """Returns mean, biased variance ([C] or [G, C]) and the count of values."""
  axes = tuple(range(int(grouped), x.ndim - 1))
  local_mean = x.mean(axes)
  deviation = _along_channels(x, jnp.subtract, local_mean)
  local_var = jnp.square(deviation).mean(axes)
  count = x.size // local_mean.size
  if grouped:
    return local_mean, local_var, count
  mean = collectives.pmean(local_mean, axis_name)
  spread = jnp.square(local_mean - mean)
  var = collectives.pmean(local_var + spread, axis_name)
  return mean, var, collectives.axis_size(axis_name) * count
