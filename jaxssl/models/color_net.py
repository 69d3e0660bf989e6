"""An encoder with a decoder that names a colour at every place."""

import math

from flax import linen as nn
import jax
import jax.numpy as jnp

from jaxssl import errors
from jaxssl.models.spatial_map import spatial_map


class ColorNet(nn.Module):
  """Logits over colours on a grid of `output_stride` pixels.

  The encoder's last spatial map goes through a 3x3 convolution and ReLU, then
  as many times as needed through a doubling (nearest neighbour) and another
  such convolution; a linear layer ends it. No BatchNorm, as in the block
  `conv8` of the authors' network, which doubles once by a transposed
  convolution.

  Attributes:
    encoder: module `(images, train, axis_name, keys) -> (features, out)`.
    num_colors: Q.
    decoder_dim: channels of the convolutions.
    output_stride: pixels of the image a step of the grid.
  """

  encoder: nn.Module
  num_colors: int
  decoder_dim: int = 256
  output_stride: int = 4

  @nn.compact
  def __call__(
    self,
    images: jax.Array,
    *,
    train: bool,
    axis_name: str | None = None,
    keys: jax.Array | None = None,
  ) -> jax.Array:
    """Returns logits float32 [b, H / stride, W / stride, Q].

    Args:
      images: [b, H, W, 3].
      train: use batch statistics, drop paths.
      axis_name: mapped device axis, or None in the global view.
      keys: typed PRNG keys [b], needed only for drop path in training.

    Raises:
      UserError: an encoder without a spatial map, or one from whose map the
        grid cannot be reached by doublings.
    """
    _, out = self.encoder(images, train, axis_name, keys)
    _, height, width, _ = images.shape
    x = spatial_map(out, (height, width))
    doublings = _doublings(x.shape[1], height, self.output_stride)
    x = self._convolve(x, 0)
    for i in range(1, 1 + doublings):
      x = jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)
      x = self._convolve(x, i)
    # float32 whatever the encoder's type: a softmax over 313 colours.
    logits = nn.Dense(
      self.num_colors, kernel_init=nn.initializers.normal(0.01), name='logits'
    )(x.astype(jnp.float32))
    return logits

  def _convolve(self, x: jax.Array, index: int) -> jax.Array:
    convolution = nn.Conv(
      self.decoder_dim,
      (3, 3),
      dtype=x.dtype,
      kernel_init=nn.initializers.he_normal(),
      name=f'conv_{index}',
    )
    return nn.relu(convolution(x))


def _doublings(rows: int, height: int, stride: int) -> int:
  """Returns how often `rows` must double to become `height / stride`."""
  factor = height / (stride * rows)
  # Rounded, and checked: a map of another ratio is refused.
  doublings = round(math.log2(factor))
  if doublings < 0 or rows * 2**doublings * stride != height:
    raise errors.UserError(
      f'a map of {rows} rows from images of {height} cannot be doubled to a '
      f'grid of {stride} pixels; change output_stride, the size of the views '
      'or the encoder'
    )
  return doublings
