#!/usr/bin/env bash
# A maximum over windows of images, as every ResNet has one, converts from JAX
# to ONNX without a complaint and cannot be run.
#
# Versions: jax2onnx 0.17.1, onnx 1.23.2, ONNX Runtime 1.32.0, jax 0.10.2,
# Python 3.11; 2026-11-29.
#
# One would guess that what jax2onnx converts and onnx's checker accepts, ONNX
# Runtime runs. Seen: `lax.reduce_window` over [batch, H, W, C] becomes a MaxPool
# over four axes, of which two have windows of 1; the checker is content, and
# ONNX Runtime, which pools over three axes at most, ends in "Unsupported pooling
# size" when the model is run. (pip also refuses to install jax2onnx beside Orbax
# 0.12, which it does not import.)
#
# Exits with 1 if this changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet flax==0.12.8 jax==0.10.2 jaxlib==0.10.2 \
  onnx==1.23.2 onnx-ir==1.1.0 onnxruntime==1.32.0 equinox dm_pix einops
"$folder/venv/bin/pip" install --quiet --no-deps jax2onnx==0.17.1
JAX_PLATFORMS=cpu "$folder/venv/bin/python" - <<'PYTHON'
import logging

logging.disable(logging.WARNING)
from jax import lax
import jax.numpy as jnp
from jax2onnx import to_onnx
import numpy as np
import onnx
import onnxruntime


def pool(x):
  return lax.reduce_window(
    x, -jnp.inf, lax.max, (1, 3, 3, 1), (1, 2, 2, 1), 'SAME'
  )


model = to_onnx(pool, [('b', 8, 8, 4)])
onnx.checker.check_model(model)
session = onnxruntime.InferenceSession(model.SerializeToString())
name = session.get_inputs()[0].name
try:
  session.run(None, {name: np.zeros((1, 8, 8, 4), np.float32)})
except Exception as error:
  print(str(error)[:200])
  assert 'Unsupported pooling size' in str(error)
else:
  raise SystemExit('it runs now')
PYTHON
echo 'as before: the model is valid, and does not run'
