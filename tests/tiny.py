"""A convolutional encoder that compiles in a second, for tests of the rest."""

import functools

from flax import linen as nn
import jax.numpy as jnp

from jaxssl import models


class TinyEncoder(nn.Module):
  """Two convolutions with BatchNorm; the same signature as any encoder."""

  dim: int = 16
  bn_groups: int = 1

  @nn.compact
  def __call__(self, images, train=False, axis_name=None, keys=None):
    del keys
    x = nn.Conv(8, (3, 3), strides=2, use_bias=False)(images)
    norm = functools.partial(models.BatchNorm, num_groups=self.bn_groups)
    x = nn.relu(norm()(x, train=train, axis_name=axis_name))
    x = nn.Conv(self.dim, (3, 3), strides=2, use_bias=False)(x)
    x = nn.relu(norm()(x, train=train, axis_name=axis_name))
    features = jnp.mean(x, axis=(1, 2))
    return features, {'stage1': x, 'pre_logits': features}
