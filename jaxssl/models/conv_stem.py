"""The convolutional stem of vision transformers."""

from flax import linen as nn
from flax.typing import Dtype
import jax

from jaxssl import errors
from jaxssl.models import initializers
from jaxssl.models.conv import Conv
from jaxssl.models.norm import BatchNorm


class ConvStem(nn.Module):
  """Images to tokens by strided convolutions (Xiao et al., arXiv 2106.14881).

  log2(p) convolutions of 3x3 pixels and stride 2, each with BatchNorm and ReLU,
  of widths that double up to D (D/8, D/4, D/2, D for patches of 16), then a
  convolution of 1x1 with bias. All start as PyTorch's convolutions do. This is
  `ConvStem` in vits.py of facebookresearch/moco-v3, for other patch sizes too;
  names are its (`proj.3.weight` is `proj_3/kernel`). The authors take one block
  off such a transformer.

  Attributes:
    patch_size: p, pixels a token, a power of two.
    dim: D, width of a token, divisible by p / 2.
    dtype: type of the computation; BatchNorm is float32.
  """

  patch_size: int
  dim: int
  dtype: Dtype

  @nn.compact
  def __call__(
    self, images: jax.Array, *, train: bool, axis_name: str | None = None
  ) -> jax.Array:
    """Maps images [b, H, W, 3] to tokens [b, (H / p) * (W / p), D].

    Args:
      images: normalised; H and W divisible by p.
      train: use batch statistics in BatchNorm.
      axis_name: mapped device axis, or None in the global view.

    Raises:
      UserError: a patch size or width that does not fit.
    """
    halvings = self.patch_size.bit_length() - 1
    if 2**halvings != self.patch_size or self.dim % (self.patch_size // 2 or 1):
      raise errors.UserError(
        "stem='conv' needs a patch size that is a power of two and a width "
        f'divisible by half of it, not {self.patch_size} and {self.dim}'
      )
    x = images
    for i in range(halvings):
      x = Conv(
        # Doubles from one to the next, and ends at D.
        self.dim >> (halvings - 1 - i),
        stride=2,
        dtype=self.dtype,
        kernel_init=initializers.torch_kernel,
        name=f'proj_{3 * i}',  # places in the authors' Sequential
      )(x)
      x = BatchNorm(dtype=self.dtype, name=f'proj_{3 * i + 1}')(
        x, train=train, axis_name=axis_name
      )
      x = nn.relu(x)
    x = nn.Conv(
      self.dim,
      (1, 1),
      dtype=self.dtype,
      kernel_init=initializers.torch_kernel,
      bias_init=initializers.uniform(self.dim**-0.5),
      name=f'proj_{3 * halvings}',
    )(x)
    return x.reshape(x.shape[0], -1, self.dim)
