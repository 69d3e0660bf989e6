#!/usr/bin/env bash
# torch 2.13.0 (CPU) with jax 0.10.2 (Python 3.11), seen on 2026-11-29.
#
# `torch.nn.functional.interpolate(mode='bicubic')` from 14 x 14 to 20 x 20, as
# position embeddings are enlarged, with antialias=False (DINOv2's code) and
# True (timm's).
#
# One would guess: the same numbers. Antialiasing widens the filter where a grid
# shrinks, and does nothing where it grows; for mode='bilinear' that is so.
# Seen: differences of a third of the deviation. The flag also changes the cubic
# itself, from Keys' a = -0.75 to a = -0.5. jax.image.resize(method='cubic') has
# -0.5 and agrees with antialias=True alone.
#
# Exits with 0 as long as this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m pip install --quiet --disable-pip-version-check \
  --target "$folder/site" torch==2.13.0 numpy==2.4.6 jax==0.10.2 \
  jaxlib==0.10.2
PYTHONPATH=$folder/site JAX_PLATFORMS=cpu "${PYTHON:-python3}" - <<'PY'
import jax
import numpy as np
import torch

x = np.random.default_rng(0).normal(size=(1, 3, 14, 14)).astype(np.float32)


def enlarged(mode, antialias):
  found = torch.nn.functional.interpolate(
    torch.from_numpy(x), size=(20, 20), mode=mode, antialias=antialias
  )
  return found.numpy()


def difference(a, b):
  return float(np.abs(a - b).max())


ours = np.asarray(jax.image.resize(x, (1, 3, 20, 20), 'cubic'))
bilinear = difference(enlarged('bilinear', False), enlarged('bilinear', True))
bicubic = difference(enlarged('bicubic', False), enlarged('bicubic', True))
print('bilinear', bilinear, 'bicubic', bicubic)
assert bilinear < 1e-5
assert bicubic > 0.2
assert difference(ours, enlarged('bicubic', True)) < 1e-5
assert difference(ours, enlarged('bicubic', False)) > 0.2
PY
