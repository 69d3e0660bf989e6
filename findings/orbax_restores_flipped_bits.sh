#!/usr/bin/env bash
# orbax-checkpoint 0.12.8, tensorstore 0.1.86, jax 0.10.2 (CPU, Python 3.11),
# seen on 2026-11-28.
#
# A single flipped bit in the data file of a checkpoint is restored silently.
#
# One would guess: found. The index (OCDBT) has checksums of its nodes, and the
# arrays are compressed with zstd, whose frames can carry one.
# Seen: large arrays lie outside the nodes, and their frames carry no checksum.
# Of 56 bits of a float32 array of noise, each flipped alone, all 56 came back
# as other numbers without an error. (Noise is what trained weights look like to
# a compressor; of arrays that compress well, some flips break the frame.)
#
# Exits with 0 as long as more than half of them are restored.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m pip install --quiet --disable-pip-version-check \
  --target "$folder/site" jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6 \
  orbax-checkpoint==0.12.8 tensorstore==0.1.86
cd "$folder"
JAX_PLATFORMS=cpu PYTHONPATH=$folder/site "${PYTHON:-python3}" - <<'PY'
import logging
import pathlib

import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp

logging.disable(logging.CRITICAL)
weights = np.random.default_rng(0).normal(size=(512, 512)).astype(np.float32)
target = pathlib.Path('checkpoint').absolute()
with ocp.StandardCheckpointer() as checkpointer:
  checkpointer.save(target, {'weights': jnp.asarray(weights)})
  checkpointer.wait_until_finished()
  abstract = {'weights': jnp.zeros_like(weights)}
  path = max(target.rglob('d/*'), key=lambda p: p.stat().st_size)
  good, silent, loud = path.read_bytes(), 0, 0
  for place in np.linspace(1000, len(good) - 1000, 56).astype(int):
    flipped = bytearray(good)
    flipped[place] ^= 64
    path.write_bytes(flipped)
    try:
      found = checkpointer.restore(target, abstract)['weights']
      silent += not np.array_equal(found, weights)
    except Exception:
      loud += 1
print(f'{silent} of 56 flipped bits were restored as other numbers, {loud} found')
raise SystemExit(0 if silent > 56 / 2 else 1)
PY
