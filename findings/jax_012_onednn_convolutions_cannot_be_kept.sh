#!/usr/bin/env bash
# In jaxlib 0.12 a program for the CPU whose convolutions are oneDNN's runs, but
# cannot be serialized, so no compilation cache keeps it.
#
# Versions: jax and jaxlib 0.12.0.1, numpy 2.5.5, Python 3.12; 2026-11-30.
#
# Where it matters: who compiles a training step with
# `xla_cpu_experimental_onednn_custom_call` to be quick on a CPU. JAX's
# persistent cache then stays empty, warns on every start, and every start
# compiles again. Exports of executables end with the same error.
#
# One would guess that an option of the compiler changes how fast a program is,
# and not whether it can be kept, or that it would do so for products too. Seen:
# a convolution with the option ends in `MemoryError: std::bad_alloc` when it is
# serialized, at any size; without the option, and for products with it, all is
# well. The convolution runs in both cases and agrees to rounding.
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
from jax.experimental import serialize_executable
import numpy as np

OPTION = {'xla_cpu_experimental_onednn_custom_call': True}
x = np.ones((2, 16, 16, 8), np.float32)
kernel = np.ones((3, 3, 8, 8), np.float32)
matrix = np.ones((512, 512), np.float32)


def convolution(x, kernel):
  return jax.lax.conv_general_dilated(
    x, kernel, (1, 1), 'SAME', dimension_numbers=('NHWC', 'HWIO', 'NHWC')
  )


def product(x, y):
  return x @ y


def kept(function, *operands, **options):
  compiled = jax.jit(function).lower(*operands).compile(compiler_options=options)
  results.append(np.asarray(compiled(*operands)))
  try:
    serialize_executable.serialize(compiled)
  except MemoryError as error:
    assert 'bad_alloc' in str(error)
    return False
  return True


results = []
found = {
  'convolution': kept(convolution, x, kernel),
  'convolution, oneDNN': kept(convolution, x, kernel, **OPTION),
  'product': kept(product, matrix, matrix),
  'product, oneDNN': kept(product, matrix, matrix, **OPTION),
}
print(found)
np.testing.assert_allclose(results[0], results[1], rtol=1e-5)
assert [name for name, kept in found.items() if not kept] == [
  'convolution, oneDNN'
]
PYTHON
