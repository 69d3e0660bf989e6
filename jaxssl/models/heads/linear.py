"""The linear classifier."""

from flax import linen as nn
import jax
import jax.numpy as jnp


class Linear(nn.Module):
  """Linear classifier `features @ kernel + bias`, in float32.

  Attributes:
    num_classes: K.
    kernel_init: normal(0.01) as MoCo's linear probe; SimCLR starts from zeros.
  """

  num_classes: int
  kernel_init: nn.initializers.Initializer = nn.initializers.normal(0.01)

  @nn.compact
  def __call__(
    self,
    features: jax.Array,
    *,
    train: bool = False,
    axis_name: str | None = None,
  ) -> jax.Array:
    """Returns logits float32 [b, K] for features [b, D].

    Args:
      features: features of the encoder.
      train: unused; part of every head's signature.
      axis_name: unused; part of every head's signature.
    """
    del train, axis_name
    return nn.Dense(self.num_classes, kernel_init=self.kernel_init, name='fc')(
      features.astype(jnp.float32)
    )
