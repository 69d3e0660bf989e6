"""Depthwise convolution, in a form that is fast on CPUs."""

import functools

import jax
from jax import lax
import jax.numpy as jnp


@jax.custom_vjp
def depthwise_conv2d(x: jax.Array, kernel: jax.Array) -> jax.Array:
  """Convolves each channel by itself, padded by p = k // 2, as PyTorch.

      y[n, i, j, c] = Σ_uv x[n, i + u − p, j + v − p, c]·w[u, v, 0, c]

  Accelerators run XLA's convolution and its gradients, which are slow on a
  CPU; there it is a sum of shifted images (benchmarks/results/step.md: 2.8 to
  13 times as fast in the maps of a ConvNeXt-T).

  Only reverse-mode differentiation is defined.

  Args:
    x: [b, H, W, C].
    kernel: [k, k, 1, C] with odd k, of the type of `x`.

  Returns:
    [b, H, W, C].
  """
  return lax.platform_dependent(x, kernel, cpu=_by_shifts, default=_by_groups)


def _forward(
  x: jax.Array, kernel: jax.Array
) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
  return depthwise_conv2d(x, kernel), (x, kernel)


def _backward(
  saved: tuple[jax.Array, jax.Array], grad: jax.Array
) -> tuple[jax.Array, jax.Array]:
  x, kernel = saved
  # The transpose of a convolution that keeps the size is one, turned around.
  grad_x = depthwise_conv2d(grad, kernel[::-1, ::-1])
  grad_kernel = lax.platform_dependent(
    x,
    grad,
    cpu=functools.partial(_grad_kernel_by_shifts, size=len(kernel)),
    default=functools.partial(_grad_kernel_by_groups, size=len(kernel)),
  )
  return grad_x, grad_kernel


depthwise_conv2d.defvjp(_forward, _backward)


def _by_groups(x: jax.Array, kernel: jax.Array) -> jax.Array:
  pad = kernel.shape[0] // 2
  return lax.conv_general_dilated(
    x,
    kernel,
    window_strides=(1, 1),
    padding=[(pad, pad)] * 2,
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
    feature_group_count=x.shape[-1],
  )


def _grad_kernel_by_groups(
  x: jax.Array, grad: jax.Array, *, size: int
) -> jax.Array:
  # The convolution is linear in its kernel, whose value does not matter.
  kernel = jax.ShapeDtypeStruct((size, size, 1, x.shape[-1]), x.dtype)
  return jax.linear_transpose(lambda k: _by_groups(x, k), kernel)(grad)[0]


def _by_shifts(x: jax.Array, kernel: jax.Array) -> jax.Array:
  padded = _pad(x, len(kernel))

  def add(
    total: jax.Array, row: tuple[jax.Array, jax.Array]
  ) -> tuple[jax.Array, None]:
    start, weights = row
    # k² terms, added in float32 whatever the type of the images.
    for shifted, weight in zip(
      _shifted(padded, start, x.shape, len(kernel)), weights[:, 0], strict=True
    ):
      total += shifted.astype(jnp.float32) * jnp.broadcast_to(
        weight.astype(jnp.float32), x.shape
      )
    return total, None

  # A loop over rows of the kernel: all at once would compile seven times as
  # long, in every block of an encoder.
  rows = jnp.arange(len(kernel)), kernel
  zero = jnp.zeros(x.shape, jnp.float32)
  return lax.scan(add, zero, rows)[0].astype(x.dtype)


def _grad_kernel_by_shifts(
  x: jax.Array, grad: jax.Array, *, size: int
) -> jax.Array:
  padded = _pad(x, size)
  # Sums over all pixels of a batch: in bfloat16 they would lose what is smaller
  # than 1/256 of them.
  grad = grad.astype(jnp.float32)

  def row(_: None, start: jax.Array) -> tuple[None, jax.Array]:
    sums = [
      (shifted * grad).sum((0, 1, 2))
      for shifted in _shifted(padded, start, x.shape, size)
    ]
    return None, jnp.stack(sums)

  sums = lax.scan(row, None, jnp.arange(size))[1]
  return sums[:, :, None].astype(x.dtype)


def _pad(x: jax.Array, size: int) -> jax.Array:
  pad = size // 2
  return jnp.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))


def _shifted(
  padded: jax.Array, start: jax.Array, shape: tuple[int, ...], size: int
) -> list[jax.Array]:
  """Returns the images as each weight of one row of the kernel meets them."""
  _, height, width, _ = shape
  rows = lax.dynamic_slice_in_dim(padded, start, height, axis=1)
  return [rows[:, :, v : v + width] for v in range(size)]
