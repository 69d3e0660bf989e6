import math

import chex
import jax
import numpy as np

from jaxssl.models import mlp


def test_gelu_is_exact_with_its_derivative():
  x = np.linspace(-6.0, 6.0, 49, dtype=np.float32)
  cdf = [0.5 * (1.0 + math.erf(v / math.sqrt(2.0))) for v in x]
  density = np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)
  # float32 erf near -1 keeps about 1e-7 absolute, times x.
  chex.assert_trees_all_close(mlp.gelu(x), np.float32(x * cdf), atol=1e-6)
  slope = jax.vmap(jax.grad(mlp.gelu))(x)
  chex.assert_trees_all_close(slope, np.float32(cdf + x * density), atol=1e-6)
