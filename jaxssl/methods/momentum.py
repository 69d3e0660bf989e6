"""The slow network: it follows the trained one as a moving average."""

from flax import linen as nn
import jax

from jaxssl.methods.base import PyTree


def move(slow: PyTree, fast: PyTree, momentum: jax.Array | float) -> PyTree:
  """Returns m slow + (1 - m) fast, leaf by leaf, without gradient to fast.

  Args:
    slow: parameters of the slow network.
    fast: parameters of the trained network, the same tree.
    momentum: m in [0, 1].
  """
  fast = jax.lax.stop_gradient(fast)
  return jax.tree.map(
    lambda s, f: momentum * s + (1.0 - momentum) * f, slow, fast
  )


def without_drop_path(encoder: nn.Module) -> nn.Module:
  """Returns the encoder that drops no path, as DINO's teacher in training."""
  if getattr(encoder, 'drop_path', 0.0) == 0.0:
    return encoder
  return encoder.clone(drop_path=0.0)
