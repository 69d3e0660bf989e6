"""A convolutional encoder that compiles in a second, for tests of the rest."""

from flax import linen as nn
import jax.numpy as jnp

from jaxssl import models


class TinyEncoder(nn.Module):
  """Two convolutions with BatchNorm; the same signature as any encoder."""

  dim: int = 16

  @nn.compact
  def __call__(self, images, train=False, axis_name=None, keys=None):
    del keys
    x = nn.Conv(8, (3, 3), strides=2, use_bias=False)(images)
    x = nn.relu(models.BatchNorm()(x, train=train, axis_name=axis_name))
    x = nn.Conv(self.dim, (3, 3), strides=2, use_bias=False)(x)
    x = nn.relu(models.BatchNorm()(x, train=train, axis_name=axis_name))
    features = jnp.mean(x, axis=(1, 2))
    return features, {'stage1': x, 'pre_logits': features}
