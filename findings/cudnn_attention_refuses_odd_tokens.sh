#!/usr/bin/env bash
# jax 0.10.2 (CPU, Python 3.11), seen on 2026-11-29.
#
# `jax.nn.dot_product_attention(implementation='cudnn')` takes any number of
# tokens in its forward pass, and refuses odd numbers as soon as it is
# differentiated, with or without a bias.
#
# One would guess: what can be computed can be differentiated; cuDNN's kernels
# have no such limit without a bias. 197 tokens (a class token and 14 x 14
# patches) are the usual number of a vision transformer.
# Seen: a guard for the gradient of a bias asks whether the bias is None, but for
# no bias an empty array is handed on. So it ends in
# `NotImplementedError: Unsupported sequence length Q 197, KV 197.`
# Padding up to an even number, with the real lengths beside, is differentiated.
#
# Exits with 0 as long as this is so. Only traced: no GPU is needed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m pip install --quiet --disable-pip-version-check \
  --target "$folder/site" jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6
cd "$folder"
JAX_PLATFORMS=cpu PYTHONPATH=$folder/site "${PYTHON:-python3}" - <<'PY'
import jax
from jax._src.cudnn import fused_attention_stablehlo as fused
import jax.numpy as jnp

# JAX asks the library for its version, of which nothing else is needed here.
fused.check_cudnn_version = lambda: 91200


def attend(x):
  out = jax.nn.dot_product_attention(x, x, x, implementation='cudnn')
  return out.astype(jnp.float32).sum()


def refused(fn, tokens):
  try:
    jax.eval_shape(fn, jax.ShapeDtypeStruct((2, tokens, 3, 64), jnp.bfloat16))
  except NotImplementedError as error:
    print(f'{tokens} tokens: {error}')
    return True
  return False


assert not refused(attend, 197)
assert not refused(jax.grad(attend), 196)
raise SystemExit(0 if refused(jax.grad(attend), 197) else 1)
PY
