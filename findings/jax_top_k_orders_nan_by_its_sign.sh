#!/usr/bin/env bash
# jax 0.10.2 with jaxlib 0.10.2 and numpy 2.4.6 (Python 3.11, CPU, x86-64), seen on
# 2026-12-01.
#
# The nearest rows by cosine, one row being zero, so that its cosine is 0 / 0: by
# `jax.lax.top_k`, `jnp.argsort` and `jnp.argmax`.
#
# One would guess: NaN has one place in an order: `jnp.nan` comes first, as in
# PyTorch, so that a search with a spoilt row shows it.
# Seen: what 0 / 0 gives on such a processor is NaN with its sign bit set, and
# `top_k` orders by the sign: that NaN comes last, behind minus infinity, so that
# a search with a spoilt row looks right. `argsort` puts every NaN at the end of
# ascending order, `argmax` takes it for the largest, whatever its sign. In the
# same way `top_k` takes 0 for larger than -0, of which the others know nothing.
#
# Exits with 0 as long as this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m pip install --quiet --disable-pip-version-check \
  --target "$folder/site" jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6
PYTHONPATH=$folder/site JAX_PLATFORMS=cpu "${PYTHON:-python3}" - <<'PY'
import jax
import jax.numpy as jnp
import numpy as np

SPOILT = 1


@jax.jit
def cosines(rows, query):
  return rows @ query / jnp.linalg.norm(rows, axis=1)


found = cosines(
  jnp.array([[1.0, 2.0], [0.0, 0.0], [3.0, -1.0], [-1.0, 0.0]]),
  jnp.array([1.0, 0.0]),
)
assert np.isnan(found[SPOILT])
assert np.signbit(found[SPOILT])
first = jax.lax.top_k(found, 4)[1]
written = jax.lax.top_k(found.at[SPOILT].set(jnp.nan), 4)[1]
print('cosines', found, 'top_k', first, 'with jnp.nan', written)
assert first[-1] == SPOILT
assert written[0] == SPOILT
for nan in (found[SPOILT], jnp.nan):
  values = found.at[SPOILT].set(nan)
  assert jnp.argsort(values)[-1] == SPOILT
  assert jnp.argmax(values) == SPOILT
infinite = found.at[3].set(-jnp.inf)
assert jax.lax.top_k(infinite, 4)[1][-1] == SPOILT
zeros = jnp.array([-0.0, 0.0, -0.0, 0.0])
assert jax.lax.top_k(zeros, 4)[1].tolist() == [1, 3, 0, 2]
assert jnp.argsort(-zeros).tolist() == [0, 1, 2, 3]
PY
