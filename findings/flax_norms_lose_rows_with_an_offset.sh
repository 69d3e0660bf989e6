#!/usr/bin/env bash
# flax 0.12.8 with jax 0.10.2 (Python 3.11, CPU), seen on 2026-11-29.
#
# `flax.linen.LayerNorm()` of float32 rows of deviation 1 around 3000.
#
# One would guess: deviation 1 around 0 to about three digits, for float32 has
# seven; PyTorch's layer norm gives that.
# Seen: entries of more than a thousand. The variance is by default the mean of
# squares less the square of the mean, which rounds to 0 and is cut off there,
# so rows are divided by the root of epsilon. use_fast_variance=False is right.
#
# Exits with 0 as long as this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m pip install --quiet --disable-pip-version-check \
  --target "$folder/site" flax==0.12.8 jax==0.10.2 jaxlib==0.10.2
PYTHONPATH=$folder/site JAX_PLATFORMS=cpu "${PYTHON:-python3}" - <<'PY'
from flax import linen as nn
import jax.numpy as jnp
import numpy as np

x = np.random.default_rng(0).normal(size=(4, 64)) + 3000
x = x.astype(np.float32)
params = {'params': {'scale': jnp.ones(64), 'bias': jnp.zeros(64)}}
wide = x.astype(np.float64)
right = (wide - wide.mean(1, keepdims=True)) / wide.std(1, keepdims=True)


def error(**settings):
  found = nn.LayerNorm(**settings).apply(params, x)
  return float(np.abs(np.asarray(found) - right).max())


print('largest error, by default:', error())
print('with use_fast_variance=False:', error(use_fast_variance=False))
assert error() > 1000
assert error(use_fast_variance=False) < 1e-2
PY
