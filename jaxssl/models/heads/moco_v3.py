"""Projector and predictor of MoCo v3."""

from flax import linen as nn
from flax.typing import Dtype
import jax
import jax.numpy as jnp

from jaxssl.fields import Count
from jaxssl.models import initializers
from jaxssl.models.norm import BatchNorm


class MoCoV3Head(nn.Module):
  """Projector and predictor of MoCo v3 (arXiv 2104.02057).

  Dense layers without bias; BatchNorm and ReLU after all but the last, which
  ends, with `last_bn`, in a BatchNorm without scale and bias (moco/builder.py
  of facebookresearch/moco-v3, `_build_mlp`; its Dense layers start from
  PyTorch's default U(+-1 / sqrt(fan_in))).

  Attributes:
    num_layers: projector: 2 for ResNet, 3 for ViT; predictor: 2.
    hidden_dim: width of all layers but the last.
    out_dim: K.
    last_bn: end in a BatchNorm; all but the predictor of ResNets do.
    dtype: type of the Dense layers; BatchNorm and the result are float32.
  """

  num_layers: int = 3
  hidden_dim: Count = 4096
  out_dim: Count = 256
  last_bn: bool = True
  dtype: Dtype = jnp.float32

  @nn.compact
  def __call__(
    self, features: jax.Array, *, train: bool, axis_name: str | None = None
  ) -> jax.Array:
    """Maps [b, D] to float32 [b, K], not normalised.

    Args:
      features: features of the encoder, or the projection.
      train: use batch statistics in BatchNorm.
      axis_name: mapped device axis, or None in the global view.
    """
    x = features
    for i in range(self.num_layers):
      last = i == self.num_layers - 1
      x = nn.Dense(
        self.out_dim if last else self.hidden_dim,
        use_bias=False,
        dtype=self.dtype,
        kernel_init=initializers.torch_kernel,
        name=f'dense_{i}',
      )(x)
      if last and not self.last_bn:
        continue
      x = BatchNorm(use_scale=not last, use_bias=not last, name=f'bn_{i}')(
        x, train=train, axis_name=axis_name
      )
      x = x if last else nn.relu(x)
    return x.astype(jnp.float32)
