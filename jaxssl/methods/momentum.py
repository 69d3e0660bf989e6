"""Networks that follow another one as a moving average."""

from typing import Any

from flax import linen as nn
import jax

PyTree = Any


def move(target: PyTree, online: PyTree, momentum: jax.Array | float) -> PyTree:
  """Returns m target + (1 - m) online, leaf by leaf, without gradient.

  Args:
    target: parameters of the slow network.
    online: parameters of the trained network, the same tree.
    momentum: m in [0, 1].
  """
  online = jax.lax.stop_gradient(online)
  return jax.tree.map(
    lambda t, o: momentum * t + (1.0 - momentum) * o, target, online
  )


def without_drop_path(encoder: nn.Module) -> nn.Module:
  """Returns the encoder that drops no path in training, as teachers do."""
  if getattr(encoder, 'drop_path', 0.0) == 0.0:
    return encoder
  return encoder.clone(drop_path=0.0)
