"""An encoder with a head on it."""

from typing import Any

from flax import linen as nn
import jax


class Net(nn.Module):
  """`head(encoder(images))`; parameters {'encoder': ..., 'head': ...}.

  Attributes:
    encoder: module `(images, train, axis_name, keys) -> (features, out)`.
    head: module `(features, *, train, axis_name) -> [b, K]`.
  """

  encoder: nn.Module
  head: nn.Module

  def __call__(
    self,
    images: jax.Array,
    *,
    train: bool,
    axis_name: str | None = None,
    keys: jax.Array | None = None,
  ) -> jax.Array:
    """Returns the head's output float32 [b, K] for images [b, H, W, 3].

    Args:
      images: normalised.
      train: use batch statistics, drop paths.
      axis_name: mapped device axis, or None in the global view.
      keys: typed PRNG keys [b], needed only for drop path in training.
    """
    y, _ = self.outputs(images, train=train, axis_name=axis_name, keys=keys)
    return y

  def outputs(
    self,
    images: jax.Array,
    *,
    train: bool,
    axis_name: str | None = None,
    keys: jax.Array | None = None,
  ) -> tuple[jax.Array, dict[str, Any]]:
    """Returns the head's output, and every intermediate of the encoder."""
    features, out = self.encoder(images, train, axis_name, keys)
    return self.head(features, train=train, axis_name=axis_name), out
