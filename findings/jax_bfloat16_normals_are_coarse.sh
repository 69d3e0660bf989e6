#!/usr/bin/env bash
# jax 0.10.2 (CPU, Python 3.11), seen on 2026-11-29.
#
# `jax.random.normal(key, shape, jnp.bfloat16)`, as for noise in the type of a
# network.
#
# One would guess: the float32 normals of the same key, rounded to bfloat16; or
# at least as many different values, and tails as long.
# Seen: one million of them have 128 different values, and none is beyond 2.9
# deviations; of a million normals some 3,700 are. The rounded float32 normals
# of that key have over 2,500 values, reach 4.6,
# and have nothing to do with these. The reason: uniform numbers of a type are
# made of as many bits as its mantissa has, and of bfloat16 that is seven.
# So noise in bfloat16 is best drawn in float32 and rounded. A probability that
# is compared with a bfloat16 uniform is one of 128, too.
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

key, count = jax.random.key(0), 1_000_000
half = np.float32(jax.random.normal(key, (count,), jnp.bfloat16))
full = jax.random.normal(key, (count,))
rounded = np.float32(full.astype(jnp.bfloat16))
uniform = np.float32(jax.random.uniform(key, (count,), jnp.bfloat16))
for name, x in (('bfloat16', half), ('rounded', rounded)):
  print(name, len(np.unique(x)), 'values, largest', np.abs(x).max())
print('beyond 2.9:', (np.abs(half) > 2.9).sum(), (np.abs(rounded) > 2.9).sum())
print('uniform:', len(np.unique(uniform)), 'values')
assert len(np.unique(half)) == len(np.unique(uniform)) == 128
assert (np.abs(half) > 2.9).sum() == 0
assert 3_000 < (np.abs(rounded) > 2.9).sum() < 4_500
assert len(np.unique(rounded)) > 2_500
assert abs(np.corrcoef(half, rounded)[0, 1]) < 0.01
PY
