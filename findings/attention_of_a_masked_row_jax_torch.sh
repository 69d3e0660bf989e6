#!/usr/bin/env bash
# jax 0.10.2 and torch 2.13.0 (Python 3.11, CPU), seen on 2026-11-29.
#
# Attention of a query whose mask forbids every key, as a padded row of a batch
# has: `jax.nn.dot_product_attention` and
# `torch.nn.functional.scaled_dot_product_attention`, boolean masks.
#
# One would guess: NaN, as 0 / 0 of a softmax over nothing; or the same in both.
# Seen: JAX gives the plain mean of all values, as if nothing were masked, since
# it masks by a large finite number; PyTorch gives zeros. Sums over such rows
# differ without a NaN to tell, so they have to be cut off by hand.
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

random = np.random.default_rng(0)
q, k, v = random.normal(size=(3, 1, 2, 3, 4)).astype(np.float32)  # b, h, n, d
mask = np.array([[True] * 3, [True] * 3, [False] * 3])
theirs = torch.nn.functional.scaled_dot_product_attention(
  *map(torch.from_numpy, (q, k, v)), attn_mask=torch.from_numpy(mask)
).numpy()
swapped = (x.transpose(0, 2, 1, 3) for x in (q, k, v))
ours = jax.nn.dot_product_attention(*swapped, mask=mask[None, None])
ours = np.asarray(ours).transpose(0, 2, 1, 3)
np.testing.assert_allclose(ours[..., :2, :], theirs[..., :2, :], atol=1e-5)
np.testing.assert_allclose(ours[..., 2, :], v.mean(2), atol=1e-5)
assert not theirs[..., 2, :].any()
print('JAX', ours[0, 0, 2], 'PyTorch', theirs[0, 0, 2])
PY
