"""DINO's head and its prototypes."""

from flax import linen as nn
from flax.typing import Dtype
import jax
import jax.numpy as jnp

from jaxssl.fields import Count
from jaxssl.models import initializers
from jaxssl.models.norm import BatchNorm


class DINOHead(nn.Module):
  """Head of DINO (arXiv 2104.14294, appendix C).

  `num_layers` Dense layers with bias and exact GELU between them, from D over
  `hidden_dim` to `bottleneck_dim`; the result is normalised to length 1 and
  multiplied with `out_dim` prototypes of length g:

    y_k = g_k (v_k / |v_k|) . z / |z|

  (vision_transformer.py of facebookresearch/dino, `DINOHead`, whose defaults
  these are.) The layers start from a normal of deviation 0.02, v from PyTorch's
  default U(+-1 / sqrt(bottleneck_dim)).

  Attributes:
    num_layers: layers before the prototypes.
    hidden_dim: width of all of them but the last.
    bottleneck_dim: width of the normalised vector.
    out_dim: K, number of prototypes.
    norm_last_layer: keep g at 1; otherwise it is the parameter `scale`.
    use_bn: a BatchNorm, over all views of the global batch, before each GELU.
    dtype: type of the Dense layers; norms and the prototypes are float32.
  """

  num_layers: int = 3
  hidden_dim: Count = 2048
  bottleneck_dim: Count = 256
  out_dim: Count = 65536
  norm_last_layer: bool = True
  use_bn: bool = False
  dtype: Dtype = jnp.float32

  @nn.compact
  def __call__(
    self, features: jax.Array, *, train: bool, axis_name: str | None = None
  ) -> jax.Array:
    """Maps features [..., D] to logits float32 [..., K].

    Args:
      features: features of the encoder.
      train: use batch statistics in BatchNorm.
      axis_name: mapped device axis, or None in the global view.
    """
    x = features
    for i in range(self.num_layers):
      last = i == self.num_layers - 1
      x = nn.Dense(
        self.bottleneck_dim if last else self.hidden_dim,
        dtype=self.dtype,
        kernel_init=nn.initializers.normal(0.02),
        name=f'dense_{i}',
      )(x)
      if last:
        break
      if self.use_bn:
        norm = BatchNorm(dtype=self.dtype, name=f'bn_{i}')
        x = norm(x, train=train, axis_name=axis_name)
      x = nn.gelu(x, approximate=False)
    x = x.astype(jnp.float32)
    # PyTorch's `F.normalize`: a lower bound on the norm, not on its square.
    x = x / jnp.maximum(jnp.linalg.norm(x, axis=-1, keepdims=True), 1e-12)
    return Prototypes(self.out_dim, self.norm_last_layer, name='last_layer')(x)


class Prototypes(nn.Module):
  """Weight-normed Dense layer without bias: y_k = g_k (v_k / |v_k|) . x.

  Attributes:
    out_dim: K.
    unit: keep every g_k at 1; otherwise it is the parameter `scale` [1, K].
  """

  out_dim: int
  unit: bool

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps float32 [b, D] to float32 [b, K]."""
    kernel = self.param(
      'kernel',
      initializers.torch_kernel,
      (x.shape[-1], self.out_dim),
      jnp.float32,
    )
    # Inside of the forward pass: the gradient has no part along v.
    kernel = kernel / jnp.linalg.norm(kernel, axis=0, keepdims=True)
    if not self.unit:
      ones = nn.initializers.ones
      kernel *= self.param('scale', ones, (1, self.out_dim), jnp.float32)
    return x @ kernel
