"""The slow network: it follows the trained one as a moving average."""

from typing import Any, TypeVar

from flax import linen as nn
import jax

from jaxssl.methods.base import PyTree

Encoder = TypeVar('Encoder', bound=nn.Module)
_ROPE_NOISE = ('rope_shift', 'rope_jitter', 'rope_rescale')


def move(slow: PyTree, fast: PyTree, momentum: jax.Array | float) -> PyTree:
  """Returns m slow + (1 - m) fast, leaf by leaf, without gradient to fast.

  Args:
    slow: parameters of the slow network.
    fast: parameters of the trained network, the same tree.
    momentum: m in [0, 1].
  """
  # MoCo's slow network moves inside of the loss.
  fast = jax.lax.stop_gradient(fast)
  return jax.tree.map(
    lambda s, f: momentum * s + (1.0 - momentum) * f, slow, fast
  )


def without_noise(encoder: Encoder) -> Encoder:
  """Returns the encoder without noise of its own, as DINO's teacher.

  No path is dropped, and rotary positions are not moved.

  Args:
    encoder: module of the network that is trained.
  """
  quiet: dict[str, Any] = {'drop_path': 0.0, **dict.fromkeys(_ROPE_NOISE)}
  changes: dict[str, Any] = {
    name: value
    for name, value in quiet.items()
    # An encoder without the attribute has no such noise.
    if getattr(encoder, name, value) != value
  }
  return encoder.clone(**changes) if changes else encoder
