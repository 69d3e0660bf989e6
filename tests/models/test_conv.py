import chex
import jax
import numpy as np
import pytest

from jaxssl.models import conv


@pytest.mark.reference
@pytest.mark.parametrize('size', [7, 8])
@pytest.mark.parametrize('stride', [1, 2])
@pytest.mark.parametrize('kernel_size', [1, 3])
def test_convolution_equals_torch(kernel_size, stride, size):
  import torch

  x = np.random.default_rng(0).standard_normal((2, size, size, 5), np.float32)
  layer = conv.Conv(6, kernel_size, stride)
  y, variables = layer.init_with_output(jax.random.key(0), x)
  kernel = np.array(variables['params']['kernel']).transpose(3, 2, 0, 1)
  expected = torch.nn.functional.conv2d(
    torch.from_numpy(x.transpose(0, 3, 1, 2).copy()),
    torch.from_numpy(kernel.copy()),
    stride=stride,
    padding=kernel_size // 2,
  )
  # Sums of up to 45 products in another order, float32.
  chex.assert_trees_all_close(
    y, expected.numpy().transpose(0, 2, 3, 1), atol=1e-5
  )
