#!/usr/bin/env bash
# In jaxlib 0.12 a program compiled for the CPU says that it needs no scratch
# memory, whatever it needs.
#
# Versions: jax and jaxlib 0.12.0.1, numpy 2.5.5, Python 3.12; 2026-11-29.
#
# Where it matters: who asks `memory_analysis()` before a step, to refuse a
# batch that does not fit into the memory of a machine.
#
# One would guess that `temp_size_in_bytes` holds what lies between arguments and
# results, as it did in jaxlib 0.10.2: 32 MiB for two matrices of 2048 x 2048
# float32. Seen: 0, while the sizes of arguments and results are right.
#
# Exits with 1 if this changes. Needs Python 3.12 or newer (PYTHON names it).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3.12}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  jax==0.12.0.1 jaxlib==0.12.0.1 numpy==2.5.5
JAX_PLATFORMS=cpu "$folder/venv/bin/python" - <<'PYTHON'
import jax
import jax.numpy as jnp
import numpy as np


def step(x):
  y = jnp.exp(x @ x.T)
  return jnp.sin(y @ y).max()


x = np.ones((2048, 4), np.float32)
found = jax.jit(step).lower(x).compile().memory_analysis()
print(found)
assert found.argument_size_in_bytes == x.nbytes
assert found.output_size_in_bytes == 4
assert found.temp_size_in_bytes == 0
PYTHON
