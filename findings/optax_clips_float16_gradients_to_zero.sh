#!/usr/bin/env bash
# optax 0.2.8 with jax 0.10.2 (Python 3.11, CPU), seen on 2026-11-29.
#
# `optax.clip_by_global_norm(1.0)` of float16 gradients: ten entries of 300,
# whose norm, 949, float16 can hold.
#
# One would guess: the norm is taken in float32, as mixed precision does sums,
# and the gradient comes out with length 1.
# Seen: the squares are taken in float16, where 300² is infinite, and the clipped
# gradient is all zeros. Nothing warns; the model stands still. In bfloat16 the
# range is enough, and the length is right to its two digits.
#
# Exits with 0 as long as this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m pip install --quiet --disable-pip-version-check \
  --target "$folder/site" optax==0.2.8 jax==0.10.2 jaxlib==0.10.2
PYTHONPATH=$folder/site JAX_PLATFORMS=cpu "${PYTHON:-python3}" - <<'PY'
import jax.numpy as jnp
import numpy as np
import optax

clip = optax.clip_by_global_norm(1.0)
for dtype in (jnp.float16, jnp.bfloat16, jnp.float32):
  gradient = jnp.full(10, 300.0, dtype)
  clipped, _ = clip.update(gradient, clip.init(gradient))
  length = float(np.linalg.norm(np.asarray(clipped, np.float64)))
  norm = optax.global_norm(gradient)
  print(f'{jnp.dtype(dtype).name}: norm {norm}, length after clipping {length}')
  if dtype == jnp.float16:
    assert jnp.isinf(norm) and length == 0
  else:
    assert abs(length - 1) < 0.01
PY
