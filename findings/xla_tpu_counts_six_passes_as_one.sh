#!/usr/bin/env bash
# jax and jaxlib 0.10.2, libtpu 0.0.42.1 (Python 3.11), seen on 2026-12-01. Compiled
# for one TPU v5e by libtpu, on a machine without a TPU; nothing runs.
#
# A product of float32 matrices with `precision` default, high and highest. A
# TPU multiplies bfloat16; it makes float32 of one, three or six such products.
# `cost_analysis()` of the compiled program.
#
# One would guess: its FLOPs, and so a plan of the time that is made of them,
# tell the three apart.
# Seen: FLOPs and bytes are the same to the last digit. The compiler knows better:
# its own `estimated_cycles`, which stand in the text of the program, are as 1 to
# 1.8 to 3.3.
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
import functools
import re

import jax
from jax.experimental import topologies
import jax.numpy as jnp
from jax.sharding import SingleDeviceSharding

device = topologies.get_topology_desc(
  platform='tpu', topology_name='v5e:2x2'
).devices[0]
matrix = jax.ShapeDtypeStruct(
  (1024, 1024), jnp.float32, sharding=SingleDeviceSharding(device)
)
counted, cycles = {}, {}
for precision in ('default', 'high', 'highest'):
  product = functools.partial(jnp.dot, precision=precision)
  compiled = jax.jit(product).lower(matrix, matrix).compile()
  found = compiled.cost_analysis()
  counted[precision] = found['flops'], found['bytes accessed']
  told = re.findall(r'"estimated_cycles":"(\d+)"', compiled.as_text())
  cycles[precision] = sum(map(int, told))
print('FLOPs and bytes', counted, 'cycles', cycles)
assert len(set(counted.values())) == 1
assert 1.5 < cycles['high'] / cycles['default'] < 2.2
assert 2.8 < cycles['highest'] / cycles['default'] < 4
PY
