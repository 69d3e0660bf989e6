#!/usr/bin/env bash
# jax and jaxlib 0.10.2, libtpu 0.0.42.1 (Python 3.11), seen on 2026-12-01. Compiled
# for one TPU v5e by libtpu, on a machine without a TPU; nothing runs.
#
# A batch of pictures [b, 224, 224, 3], 8 bits or float32, as the argument of a
# compiled function. A TPU's memory holds tiles whose last side is 128.
#
# One would guess: the last axis has 3 channels, is padded to 128, and a batch
# needs 43 times its bytes; so pictures should come with channels first.
# Seen: the compiler chooses the order of the axes in memory, for arguments too.
# Rows and columns go last and 224 becomes 256: 1.14 times the bytes. If the chip's
# part of the batch is a multiple of 128, the batch goes last, and nothing is
# padded at all: 256 pictures fit exactly, 200 need 1.14 times their bytes.
#
# Exits with 0 as long as this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  jax==0.10.2 jaxlib==0.10.2 libtpu==0.0.42.1 numpy==2.4.6
JAX_PLATFORMS=cpu TPU_SKIP_MDS_QUERY=1 ALLOW_MULTIPLE_LIBTPU_LOAD=1 \
  "$folder/venv/bin/python" - <<'PY'
import jax
from jax.experimental import topologies
import jax.numpy as jnp
from jax.sharding import SingleDeviceSharding

device = topologies.get_topology_desc(
  platform='tpu', topology_name='v5e:2x2'
).devices[0]


def padded(count, dtype):
  """Returns the bytes of the argument over those of its numbers."""
  pictures = jax.ShapeDtypeStruct(
    (count, 224, 224, 3), dtype, sharding=SingleDeviceSharding(device)
  )
  mean = jax.jit(lambda x: x.astype(jnp.float32).mean())
  memory = mean.lower(pictures).compile().memory_analysis()
  return memory.argument_size_in_bytes / (pictures.size * pictures.dtype.itemsize)


for dtype in (jnp.uint8, jnp.float32):
  found = {count: padded(count, dtype) for count in (8, 100, 128, 200, 256)}
  print(jnp.dtype(dtype), found)
  assert all(abs(found[n] - 1) < 0.001 for n in (128, 256))
  assert all(abs(found[n] - 256 / 224) < 0.001 for n in (8, 100, 200))
PY
