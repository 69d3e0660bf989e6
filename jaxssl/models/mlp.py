"""The Dense layer of transformer blocks, and their feed-forward part."""

from typing import NamedTuple

from flax import linen as nn
from flax.typing import Dtype
import jax
import jax.numpy as jnp

from jaxssl.models.dense import Dense


class Deviations(NamedTuple):
  """Standard deviations that the kernels of a transformer block start from.

  Attributes:
    qkv: deviation for queries, keys and values.
    proj: deviation for the projection behind the attention.
    fc1: deviation for the first layer of the MLP.
    fc2: deviation for its second layer.
  """

  qkv: float = 0.02
  proj: float = 0.02
  fc1: float = 0.02
  fc2: float = 0.02


def dense(
  features: int, dtype: Dtype, name: str, *, std: float = 0.02
) -> Dense:
  """Returns a Dense layer that starts from normal(std), bias 0.

  timm's ViT truncates this normal at +-2, that is at 100 standard deviations.

  Args:
    features: width of the result.
    dtype: type of the computation.
    name: name of the submodule.
    std: deviation of the kernel.
  """
  return Dense(features, dtype, nn.initializers.normal(std), name=name)


def gelu(x: jax.Array) -> jax.Array:
  """Exact GELU, `x / 2 * (1 + erf(x / sqrt(2)))` (arXiv 1606.08415).

  `jax.nn.gelu(approximate=False)` goes through erfc, which is slower on the
  CPU and keeps more for the backward pass.
  """
  return 0.5 * x * (1.0 + jax.lax.erf(x * (0.5**0.5)))


def gelu_tanh(x: jax.Array) -> jax.Array:
  """GELU with tanh in place of the error function (GPT-2, SigLIP)."""
  return jax.nn.gelu(x, approximate=True)


def quick_gelu(x: jax.Array) -> jax.Array:
  """`x sigmoid(1.702 x)`, the approximation of GELU in CLIP's weights."""
  return x * jax.nn.sigmoid(1.702 * x)


def swiglu(x: jax.Array) -> jax.Array:
  """`silu(a) b` of the halves [a, b] of the last side (arXiv 2002.05202)."""
  gate, value = jnp.split(x, 2, axis=-1)
  return nn.silu(gate) * value


ACTIVATIONS = {
  'gelu': gelu,
  'gelu_tanh': gelu_tanh,
  'quick_gelu': quick_gelu,
  'swiglu': swiglu,
}
# Those that halve the width, so that the layer before has twice as many units.
_GATED = ('swiglu',)


class MLP(nn.Module):
  """`fc2(act(fc1(x)))`, keeping the width.

  With a gate (`act='swiglu'`) `fc1` has 2 `hidden_dim` units, gate first, as
  in timm's `SwiGLUPacked` and DINOv2's `w12`.

  Attributes:
    hidden_dim: width before the second layer.
    dtype: type of the computation.
    act: key of `ACTIVATIONS`.
    deviations: what the kernels start from.
  """

  hidden_dim: int
  dtype: Dtype = jnp.float32
  act: str = 'gelu'
  deviations: Deviations = Deviations()

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    """Maps [..., D] to [..., D]."""
    dim = x.shape[-1]
    std = self.deviations
    # Gate and value come from one product.
    units = self.hidden_dim * (2 if self.act in _GATED else 1)
    x = dense(units, self.dtype, 'fc1', std=std.fc1)(x)
    x = ACTIVATIONS[self.act](x)
    return dense(dim, self.dtype, 'fc2', std=std.fc2)(x)
