"""Batch normalisation over the global batch, running statistics as PyTorch."""

import dataclasses
import functools
import math
from typing import Any, NamedTuple

from flax import linen as nn
from flax.typing import Dtype
import jax
import jax.numpy as jnp

from jaxssl import errors
from jaxssl.models.conv import pointwise
from jaxssl.models.moments import moments
from jaxssl.models.product_norm import Reduction, normalized_product
from jaxssl.parallel import collectives


class BatchNorm(nn.Module):
  """Batch normalisation (Ioffe and Szegedy, arXiv 1502.03167, algorithm 1).

  `y = (x - E[x]) / sqrt(Var[x] + epsilon) * scale + bias`, each channel (last
  axis) over all other axes and over all devices of `axis_name`. In the global
  view the rows at hand are the global batch already.

  Statistics are float32: device mean and variance (see `moments`), merged as
  `Var = E_d[Var_d] + E_d[(mean_d - mean)^2]`.

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
    relu: end with ReLU, `max(y, 0)`; its derivative at 0 is 0.
    dtype: type of the result; parameters and statistics are float32.
  """

  use_scale: bool = True
  use_bias: bool = True
  momentum: float = 0.9
  epsilon: float = 1e-5
  scale_init: nn.initializers.Initializer = nn.initializers.ones
  num_groups: int = 1
  relu: bool = False
  dtype: Dtype = jnp.float32

  @nn.compact
  def __call__(
    self,
    x: jax.Array,
    *,
    train: bool,
    axis_name: str | None = None,
    shortcut: jax.Array | None = None,
    kernel: jax.Array | None = None,
  ) -> jax.Array:
    """Normalises `x` [..., C], or the product `x @ kernel`.

    Args:
      x: activations; any number of leading axes, at least one.
      train: normalise with the statistics of the batch and update the running
        ones; otherwise normalise with the running ones.
      axis_name: mapped device axis, or None in the global view.
      shortcut: of the shape and type of the result, added before ReLU.
      kernel: float32 [C', C], of a 1x1 convolution that comes first; `x` is
        then [..., C'], of type `dtype`. In training in bfloat16 on a GPU the
        product is not kept (`product_norm`), without groups.

    Returns:
      An array of the shape of what is normalised and type `dtype`.

    Raises:
      UserError: groups that do not fit the batch or the devices.
    """
    channels = x.shape[-1:] if kernel is None else kernel.shape[-1:]
    running_mean = self.variable(
      'batch_stats', 'mean', jnp.zeros, channels, jnp.float32
    )
    running_var = self.variable(
      'batch_stats', 'var', jnp.ones, channels, jnp.float32
    )
    scale, bias = self._scale_and_bias(channels)
    plain = self.num_groups > 1 or self.dtype != jnp.bfloat16
    if kernel is not None and (plain or not train):
      x, kernel = pointwise(x, kernel), None
    if not train:
      # Without communication: devices have the same running statistics.
      factor = jax.lax.rsqrt(running_var.value + self.epsilon) * scale
      y = _transform(x, running_mean.value, factor, bias)
      return _activate(y.astype(self.dtype), shortcut, self.relu)
    shape, groups = x.shape, self._groups_at_hand(x.shape[0], axis_name)
    if groups is not None:
      apart = (groups, -1, *shape[1:])
      x = x.reshape(apart)
      shortcut = None if shortcut is None else shortcut.reshape(apart)
    view = _View(
      axis_name, grouped=groups is not None, relu=self.relu, dtype=self.dtype
    )
    if kernel is None:
      # Any, because no checker sees what a `custom_vjp` with options returns.
      found: Any = _normalize(x, scale, bias, shortcut, self.epsilon, view)
    else:
      found = self._of_product(x, kernel, scale, bias, shortcut, view)
    y, mean, var = found
    changes = self.is_mutable_collection('batch_stats')
    # The example that a network is initialised with is no batch.
    if changes and not self.is_initializing():
      count = view.count(x)
      # A single value has no unbiased variance; it keeps 0.
      unbiased = var * (count / max(count - 1, 1))
      for old, new in ((running_mean, mean), (running_var, unbiased)):
        old.value = self._blend(
          old.value, self._mean_over_groups(new, axis_name)
        )
    return y.reshape(*shape[:-1], *channels)

  def _of_product(
    self,
    x: jax.Array,
    kernel: jax.Array,
    scale: jax.Array,
    bias: jax.Array,
    shortcut: jax.Array | None,
    view: '_View',
  ) -> Any:
    """Returns what `_normalize` returns of the product."""
    reduction = Reduction(view.over_devices, self.relu, self.epsilon)

    def apart(
      x: jax.Array,
      kernel: jax.Array,
      scale: jax.Array,
      bias: jax.Array,
      shortcut: jax.Array | None,
    ) -> Any:
      z = pointwise(x, kernel)
      return _normalize(z, scale, bias, shortcut, self.epsilon, view)

    return jax.lax.platform_dependent(
      *(x, kernel, scale, bias, shortcut),
      cuda=functools.partial(normalized_product, reduction=reduction),
      default=apart,
    )

  def _scale_and_bias(
    self, channels: tuple[int, ...]
  ) -> tuple[jax.Array, jax.Array]:
    scale, bias = jnp.ones(channels), jnp.zeros(channels)
    if self.use_scale:
      scale = self.param('scale', self.scale_init, channels, jnp.float32)
    if self.use_bias:
      bias = self.param('bias', nn.initializers.zeros, channels, jnp.float32)
    return scale, bias

  def _groups_at_hand(self, rows: int, axis_name: str | None) -> int | None:
    """Returns the number of groups among these rows, None without groups."""
    # An example of two rows has no eight groups.
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
    # Without groups statistics are of all devices already.
    if x.ndim == 1:
      return x
    return collectives.pmean(x.mean(0), axis_name)

  def _blend(self, old: jax.Array, new: jax.Array) -> jax.Array:
    return self.momentum * old + (1.0 - self.momentum) * new


@dataclasses.dataclass(frozen=True)
class _View:
  """What one set of statistics is of.

  Attributes:
    axis_name: mapped device axis, or None.
    grouped: the first axis has groups, each with statistics of its own.
    relu: ReLU follows.
    dtype: type of the result.
  """

  axis_name: str | None
  grouped: bool
  relu: bool
  dtype: Dtype

  def axes(self, x: jax.Array) -> tuple[int, ...]:
    """Returns the axes at hand that statistics are taken over."""
    return tuple(range(int(self.grouped), x.ndim - 1))

  def local_count(self, x: jax.Array) -> int:
    """Returns the number of values of a channel on this device."""
    return math.prod(x.shape[axis] for axis in self.axes(x))

  def count(self, x: jax.Array) -> int:
    """Returns the number of values of a channel on all devices."""
    devices = 1 if self.grouped else collectives.axis_size(self.axis_name)
    return devices * self.local_count(x)

  def over_devices(self, mean: jax.Array) -> jax.Array:
    """Returns the mean over devices of what each has of its own rows."""
    return mean if self.grouped else collectives.pmean(mean, self.axis_name)


class _Residuals(NamedTuple):
  """What the backward pass needs.

  Attributes:
    x: as it came.
    mean: [C] or [G, C], as the next.
    inverse_std: 1 / std.
    scale: [C].
    bias: [C].
    y: the result, with ReLU only; what follows keeps it anyhow.
    added: nothing, or an empty array if there was a shortcut.
  """

  x: jax.Array
  mean: jax.Array
  inverse_std: jax.Array
  scale: jax.Array
  bias: jax.Array
  y: jax.Array | None
  added: jax.Array | None


@functools.partial(jax.custom_vjp, nondiff_argnums=(4, 5))
def _normalize(
  x: jax.Array,
  scale: jax.Array,
  bias: jax.Array,
  shortcut: jax.Array | None,
  epsilon: float,
  view: _View,
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Returns the result, and mean and biased variance, [C] or [G, C].

  These two have no gradient of their own: nothing but the running statistics is
  made of them.
  """
  return _normalize_fwd(x, scale, bias, shortcut, epsilon, view)[0]


def _normalize_fwd(
  x: jax.Array,
  scale: jax.Array,
  bias: jax.Array,
  shortcut: jax.Array | None,
  epsilon: float,
  view: _View,
) -> tuple[tuple[jax.Array, jax.Array, jax.Array], _Residuals]:
  mean, var = _statistics(x, view)
  inverse_std = jax.lax.rsqrt(var + epsilon)
  y = _transform(x, mean, inverse_std * _like(scale, var), bias)
  y = _activate(y.astype(view.dtype), shortcut, view.relu)
  residuals = _Residuals(
    x,
    mean,
    inverse_std,
    scale,
    bias,
    y if view.relu else None,
    None if shortcut is None else jnp.zeros(0),
  )
  return (y, mean, var), residuals


def _normalize_bwd(
  epsilon: float,
  view: _View,
  residuals: _Residuals,
  gradients: tuple[jax.Array, ...],
) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array | None]:
  """With n = (x - E[x]) / std over the N values of a channel.

  dx = scale / std (dy - E[dy] - n E[dy n]),  dscale = sum dy n,  dbias = sum dy

  where dy is 0 for what ReLU has made 0. Derived from the forward pass, the
  same sums are taken through float32 copies of `dy` and `x`, which moves twice
  as many bytes.
  """
  del epsilon
  local = view.local_count(residuals.x)
  passed, sum_dy, sum_product = jax.lax.platform_dependent(
    residuals,
    gradients[0],
    cuda=functools.partial(_sums_at_once, view=view),
    default=functools.partial(_sums, view=view),
  )
  # Other devices' losses see these rows, through mean and variance: the
  # gradient needs the sums over `dy` of all. Those of scale and bias are of the
  # rows at hand, as the train step averages parameters' gradients.
  first = view.over_devices(sum_dy / local)
  second = view.over_devices(sum_product / local)
  dy = passed.astype(jnp.float32)
  slope = _along_channels(_normed(residuals), jnp.multiply, second)
  inner = _along_channels(dy - slope, jnp.subtract, first)
  inverse_std = residuals.inverse_std
  factor = inverse_std * _like(residuals.scale, inverse_std)
  dx = _along_channels(inner, jnp.multiply, factor).astype(residuals.x.dtype)
  groups = tuple(range(sum_dy.ndim - 1))
  added = None if residuals.added is None else passed
  return dx, sum_product.sum(groups), sum_dy.sum(groups), added


_normalize.defvjp(_normalize_fwd, _normalize_bwd)


def _activate(
  y: jax.Array, shortcut: jax.Array | None, relu: bool
) -> jax.Array:
  y = y if shortcut is None else y + shortcut
  # Not 0: jax2onnx would make float64 of float32 and an integer.
  return jnp.maximum(y, 0.0) if relu else y


def _sums(
  residuals: _Residuals, dy: jax.Array, *, view: _View
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Returns what ReLU lets through of `dy`, its sum, and that of `dy n`."""
  passed, product = _passed(residuals, dy), _normed(residuals)
  axes, wide = view.axes(residuals.x), passed.astype(jnp.float32)
  return passed, wide.sum(axes), (wide * product).sum(axes)


def _sums_at_once(
  residuals: _Residuals, dy: jax.Array, *, view: _View
) -> tuple[jax.Array, jax.Array, jax.Array]:
  """As `_sums`, in one kernel, which shares nothing with that of `dx`.

  Left alone, XLA's GPU compiler has another kernel write for both what ReLU
  lets through, and reads more of the forward pass to find it out.
  """
  apart, dy_apart = jax.lax.optimization_barrier((residuals, dy))
  if residuals.y is None or residuals.added is not None:
    # A shortcut needs it in memory anyhow.
    passed = _passed(apart, dy_apart)
    first, second = _reduce(apart, passed, view)
    return jax.lax.optimization_barrier((passed, first, second))
  # Both kernels read `x`, of which the sign is made again in place of `y`.
  first, second = _reduce(apart, _passed(_with_sign(apart), dy_apart), view)
  return _passed(_with_sign(residuals), dy), first, second


def _passed(residuals: _Residuals, dy: jax.Array) -> jax.Array:
  if residuals.y is None:
    return dy
  return jnp.where(residuals.y > 0, dy, jnp.zeros_like(dy))


def _with_sign(residuals: _Residuals) -> _Residuals:
  """Returns `y` as `x a - b`, of which only the sign can be used.

  Written as in `_transform` it would be too much work to do twice, as the
  compiler sees it.
  """
  x, mean, inverse_std, scale, bias = residuals[:5]
  factor = inverse_std * _like(scale, mean)
  y = _along_channels(
    x.astype(jnp.float32),
    *(jnp.multiply, factor),
    *(jnp.subtract, mean * factor - _like(bias, mean)),
  )
  return residuals._replace(y=y)


def _reduce(
  residuals: _Residuals, dy: jax.Array, view: _View
) -> tuple[jax.Array, ...]:
  """Returns the sums of `dy` and `dy n` by one operation."""
  wide, zero = dy.astype(jnp.float32), jnp.zeros(())
  return jax.lax.reduce(
    (wide, wide * _normed(residuals)),
    (zero, zero),
    lambda total, each: (total[0] + each[0], total[1] + each[1]),
    view.axes(residuals.x),
  )


def _normed(residuals: _Residuals) -> jax.Array:
  return _along_channels(
    residuals.x.astype(jnp.float32),
    *(jnp.subtract, residuals.mean),
    *(jnp.multiply, residuals.inverse_std),
  )


def _transform(
  x: jax.Array, mean: jax.Array, factor: jax.Array, bias: jax.Array
) -> jax.Array:
  """Returns `(x - mean) * factor + bias` in float32."""
  # The mean goes first: x a + b of one product would be the difference of two
  # large numbers where the mean is large.
  y = _along_channels(
    x.astype(jnp.float32), jnp.subtract, mean, jnp.multiply, factor
  )
  return _along_channels(y, jnp.add, bias)


def _along_channels(x: jax.Array, *operations: Any) -> jax.Array:
  """Applies operations, each with a vector [C], or [G, C] for G groups.

  Args:
    x: [..., C], or [G, ..., C].
    *operations: functions of two arrays, each before its vector.
  """
  for operation, vector in zip(operations[::2], operations[1::2], strict=True):
    if vector.ndim == 2:
      vector = vector.reshape(len(vector), *(1,) * (x.ndim - 2), -1)
    x = operation(x, jnp.broadcast_to(vector, x.shape))
  return x


def _like(vector: jax.Array, x: jax.Array) -> jax.Array:
  return jnp.broadcast_to(vector, x.shape)


def _statistics(x: jax.Array, view: _View) -> tuple[jax.Array, jax.Array]:
  """Returns mean and biased variance, [C] or [G, C]."""
  local_mean, local_var = moments(x, view.axes(x))
  # Devices have equally many values, so plain means merge them.
  mean = view.over_devices(local_mean)
  spread = jnp.square(local_mean - mean)
  return mean, view.over_devices(local_var + spread)
