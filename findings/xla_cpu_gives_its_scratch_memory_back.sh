#!/usr/bin/env bash
# jax 0.10.2 with jaxlib 0.10.2 (CPU, Python 3.11, Linux with the GNU C library
# 2.36), seen on 2026-11-30.
#
# One compiled program, called again and again, that needs some hundred MiB of
# scratch memory.
#
# One would guess: the runtime gets that memory once, with the first call, and
# keeps it, as it does on GPUs. So later calls have no page faults.
# Seen: every call asks the C library for all of it and gives it back, and the
# C library gives it back to the kernel. So every call meets a fault for each
# page of 4 KiB of its scratch memory, as often as it is called. Told to take
# pages of 2 MiB (GLIBC_TUNABLES=glibc.malloc.hugetlb=1, before the program starts),
# on a kernel that gives them to those who ask, it meets about a
# hundredth; a training step of a small ViT took 0.70 of its time.
#
# Exits with 0 as long as this is so. The second half runs where
# /sys/kernel/mm/transparent_hugepage/enabled says [madvise].
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m pip install --quiet --disable-pip-version-check \
  --target "$folder/site" jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6
cat > "$folder/faults.py" <<'PY'
"""Prints the page faults of a call, by the pages of its scratch memory."""

import ctypes
import resource
import statistics
import sys

import jax
import jax.numpy as jnp

if sys.argv[1] == 'small':
  # PR_SET_THP_DISABLE: a kernel that gives large pages to all gives none here.
  assert ctypes.CDLL(None).prctl(41, 1, 0, 0, 0) == 0


def loss(kernels, x):
  for kernel in kernels:
    x = jnp.tanh(x @ kernel)
  return (x * x).mean()


kernels = [jnp.eye(256) for _ in range(12)]
x = jnp.ones((16384, 256))
step = jax.jit(jax.grad(loss)).lower(kernels, x).compile()
pages = step.memory_analysis().temp_size_in_bytes / 4096
faults = []
for _ in range(12):
  before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
  jax.block_until_ready(step(kernels, x))
  faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
print(f'{pages:.0f} pages of scratch memory, faults of 12 calls {faults}',
      file=sys.stderr)
print(statistics.median(faults[4:]) / pages)
PY
export PYTHONPATH=$folder/site JAX_PLATFORMS=cpu
unset GLIBC_TUNABLES
small=$("${PYTHON:-python3}" "$folder/faults.py" small)
echo "faults a page, pages of 4 KiB: $small"
"${PYTHON:-python3}" -c "assert $small > 0.9, $small"
if grep -qF '[madvise]' /sys/kernel/mm/transparent_hugepage/enabled; then
  large=$(GLIBC_TUNABLES=glibc.malloc.hugetlb=1 \
    "${PYTHON:-python3}" "$folder/faults.py" large)
  echo "faults a page, pages of 2 MiB: $large"
  "${PYTHON:-python3}" -c "assert $large < 0.1, $large"
fi
