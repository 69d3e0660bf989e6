#!/usr/bin/env bash
# jax 0.10.2 with jaxlib 0.10.2 (CPU, Python 3.11), seen on 2026-11-29.
#
# The gradient of a residual network of convolutions, `x = relu(x + norm(conv(x)))`
# block after block, compiled for a CPU; and the same with
# `jax.lax.optimization_barrier` around what every convolution takes.
#
# One would guess: x of a block is computed once, kept, and read by all that uses
# it; where a compiler would rather compute it anew, a barrier keeps it from
# that.
# Seen: a loop of block n computes x from all blocks before it, and so does the
# transposition for the gradient of its kernel, which walks through them in
# the order of another layout: the loops read 1, 4, 7, 10 arrays. Barriers change no
# loop: the pass `cse_barrier_expander` takes them out before loops are fused.
# With that pass off (`xla_disable_hlo_passes`, per program) they stay, and
# the transpositions read one array.
#
# Exits with 0 as long as this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m pip install --quiet --disable-pip-version-check \
  --target "$folder/site" jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6
PYTHONPATH=$folder/site JAX_PLATFORMS=cpu "${PYTHON:-python3}" - <<'PY'
import re

import jax
from jax import lax
import jax.numpy as jnp

BLOCKS = 4
names = ('NHWC', 'HWIO', 'NHWC')


def norm(x):
  mean = x.mean((0, 1, 2))
  var = ((x - mean) ** 2).mean((0, 1, 2))
  return (x - mean) * lax.rsqrt(var + 1e-5)


def gradient(kernels, x, keep):
  def loss(kernels):
    y = x
    for kernel in kernels:
      taken = keep(y)
      out = lax.conv_general_dilated(
        taken, kernel, (1, 1), 'SAME', dimension_numbers=names
      )
      y = jax.nn.relu(y + norm(keep(out)))
    return (y * y).mean()

  return jax.grad(loss)(kernels)


def inputs_of_transpositions(keep, options):
  """How many arrays each transposition of a whole map reads."""
  shapes = [jax.ShapeDtypeStruct((3, 3, 16, 16), jnp.float32)] * BLOCKS
  images = jax.ShapeDtypeStruct((16, 32, 32, 16), jnp.float32)
  lowered = jax.jit(lambda k, x: gradient(k, x, keep)).lower(shapes, images)
  text = lowered.compile(compiler_options=options).as_text()
  found = re.findall(
    r'%transpose_copy_fusion\S* = f32\[16,32,32,16\]\S* fusion\((.*?)\), kind',
    text,
  )
  return sorted(len(inputs.split(',')) for inputs in found)


kept = {'xla_disable_hlo_passes': 'cse_barrier_expander'}
plain = inputs_of_transpositions(lambda x: x, {})
barriers = inputs_of_transpositions(lax.optimization_barrier, {})
stay = inputs_of_transpositions(lax.optimization_barrier, kept)
print('plain', plain, 'barriers', barriers, 'barriers that stay', stay)
assert plain == barriers == [1, 4, 7, 10]
assert max(stay) == 1
PY
