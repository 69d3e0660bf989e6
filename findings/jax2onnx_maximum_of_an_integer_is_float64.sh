#!/usr/bin/env bash
# jax2onnx 0.17.1 and jax 0.10.2 (Python 3.11, CPU), seen on 2026-11-30.
#
# A ReLU written as `jnp.maximum(x, 0)` of a float32 array, converted to ONNX.
#
# One would guess: float32, as JAX gives by itself, since a Python number takes
# the type of the array beside it. Seen: while jax2onnx traces, its own form of
# `jnp.maximum` takes 0 for an int32 array and promotes as NumPy does, so the
# result is float64 in the middle of a float32 network. With `0.0` it is
# float32. A choice by platform behind it is then refused, because its branches
# have different types.
#
# Exits with 0 as long as this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m pip install --quiet --disable-pip-version-check \
  --target "$folder/site" jax==0.10.2 jaxlib==0.10.2 flax==0.12.8 \
  onnx==1.23.2 onnx-ir==1.1.0 onnxruntime==1.32.0
"${PYTHON:-python3}" -m pip install --quiet --disable-pip-version-check \
  --no-deps --target "$folder/site" jax2onnx==0.17.1
PYTHONPATH=$folder/site JAX_PLATFORMS=cpu "${PYTHON:-python3}" - <<'PY'
import logging

import jax
import jax.numpy as jnp

logging.disable(logging.WARNING)  # it tells at length what is not installed
from jax2onnx import to_onnx

seen = {}


def relu(zero):
  def run(x):
    y = jnp.maximum(x, zero)
    seen[type(zero).__name__] = str(y.dtype)
    return y

  return run


x = jax.ShapeDtypeStruct((2, 3), jnp.float32)
for zero in (0, 0.0):
  plain = jax.eval_shape(relu(zero), x)
  assert plain.dtype == jnp.float32
  to_onnx(relu(zero), [x])
print(seen)
assert seen == {'int': 'float64', 'float': 'float32'}, seen
PY
