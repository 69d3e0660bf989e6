#!/usr/bin/env bash
# lightly 1.6.0 with torch 2.13.0 (Python 3.11, CPU), seen on 2026-11-29.
#
# `MSNLoss` of 64 anchors and targets of 256 numbers and 32 prototypes, of which
# one points where an anchor does and one away from it. Its temperature "must be
# in (0, inf)". Cosines are in [-1, 1], so no term exceeds 2 / temperature + ln 32.
#
# One would guess: loss and gradient of softmax's cross entropy, which are finite
# for any such temperature.
# Seen: log(p ** -q) is computed as it stands. At 0.03 the loss is right to seven
# digits, and the gradient of that anchor is NaN: 0 times the infinite derivative
# of a power. At 0.02 the loss is infinite, where it is 8.2.
#
# Exits with 0 as long as this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m pip install --quiet --disable-pip-version-check \
  --target "$folder/site" torch==2.13.0 numpy==2.4.6
"${PYTHON:-python3}" -m pip install --quiet --disable-pip-version-check \
  --no-deps --target "$folder/lightly" lightly==1.6.0
PYTHONPATH=$folder/site LIGHTLY=$folder/lightly "${PYTHON:-python3}" - <<'PY'
import importlib.util
import os
import pathlib

import torch
import torch.nn.functional as F

# The file alone: the package imports torchvision, which the loss does not need.
file = pathlib.Path(os.environ['LIGHTLY'], 'lightly/loss/msn_loss.py')
spec = importlib.util.spec_from_file_location('msn_loss', file)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)

torch.manual_seed(0)
anchors, targets = torch.randn(2, 64, 256)
prototypes = torch.randn(32, 256)
prototypes[0], prototypes[1], targets[0] = anchors[0], -anchors[0], -anchors[0]
found = {}
for temperature in (0.1, 0.05, 0.03, 0.02):
  a = anchors.clone().requires_grad_(True)
  loss = module.MSNLoss(
    temperature=temperature, sinkhorn_iterations=0, regularization_weight=0.0
  )(a, targets, prototypes)
  loss.backward()
  u, v, c = (F.normalize(x.double(), dim=1) for x in (anchors, targets, prototypes))
  q = F.softmax(v @ c.T / temperature / 0.25, dim=1)
  exact = -(q * F.log_softmax(u @ c.T / temperature, dim=1)).sum(1).mean()
  nan = a.grad.isnan().any(1).sum().item()
  found[temperature] = loss.item(), exact.item(), nan
  print(f'temperature {temperature}: loss {loss.item():.4f}, exact {exact:.4f}, '
        f'anchors whose gradient is NaN: {nan}')
for temperature in (0.1, 0.05):
  loss, exact, nan = found[temperature]
  assert abs(loss / exact - 1) < 1e-5 and nan == 0
loss, exact, nan = found[0.03]
assert abs(loss / exact - 1) < 1e-5 and nan == 1
loss, exact, nan = found[0.02]
assert loss == float('inf') and exact < 9 and nan == 1
PY
