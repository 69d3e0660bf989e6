#!/usr/bin/env bash
# jax 0.10.2 with jax-cuda13-plugin 0.10.2 (no GPU, no CUDA libraries), Python
# 3.11, seen on 2026-11-29.
#
# `jax.nn.dot_product_attention(implementation='cudnn')` takes the lengths of
# padded rows. Under `jit`, with rows spread over several GPUs and the lengths
# whole on each (constants, or an argument that is not sharded), every GPU reads
# the lengths of the first rows of the batch for its own rows.
#
# One would guess: the global view of `jit` hides where arrays lie, so lengths
# belong to their rows, sharded or not.
# Seen: JAX splits queries, keys and values for the fused kernel, but hands it
# the lengths as they lie. Of 16 rows on 8 GPUs each kernel gets 2 rows and all
# 16 lengths, of which it reads the first 2. If the lengths are sharded like the
# rows, each gets its 2. Read off the program that XLA's compiler makes for eight
# H100s; nothing runs.
#
# Equal lengths, such as those of padding up to a multiple of 8, are not harmed.
#
# Exits with 0 as long as this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m pip install --quiet --disable-pip-version-check \
  --target "$folder/site" jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6
"${PYTHON:-python3}" -m pip install --quiet --disable-pip-version-check \
  --no-deps --target "$folder/site" \
  jax-cuda13-plugin==0.10.2 jax-cuda13-pjrt==0.10.2
cd "$folder"
JAX_PLATFORMS=cpu PYTHONPATH=$folder/site "${PYTHON:-python3}" - <<'PY'
import re

import jax
from jax._src.cudnn import fused_attention_stablehlo as fused
from jax.experimental import topologies
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
import numpy as np

# JAX asks the library for its version, of which nothing else is needed here.
fused.check_cudnn_version = lambda: 91200
H100 = """
  gpu_device_info {
    cuda_compute_capability { major: 9 }
    core_count: 132 fpus_per_core: 128 clock_rate_ghz: 1.98
    l2_cache_size: 52428800 memory_bandwidth: 3352320000000
    device_memory_size: 84978434048 shared_memory_per_core: 233472
    shared_memory_per_block: 49152 shared_memory_per_block_optin: 232448
    registers_per_core_limit: 65536 registers_per_block_limit: 65536
    threads_per_warp: 32 threads_per_block_limit: 1024
    threads_per_core_limit: 2048 block_dim_limit_x: 2147483647
    block_dim_limit_y: 65535 block_dim_limit_z: 65535
  }
  platform_name: "CUDA"
  runtime_version { major: 13 }
  dnn_version_info { major: 9 minor: 12 }
"""
ROWS, GPUS = 16, 8
devices = topologies.get_topology_desc(
  platform='cuda', target_config=H100, topology=f'1x1x{GPUS}'
).devices
mesh = Mesh(np.array(devices), ('rows',))


def attend(x, lengths):
  return jax.nn.dot_product_attention(
    x, x, x, query_seq_lengths=lengths, key_value_seq_lengths=lengths,
    implementation='cudnn',
  )


def lengths_of_a_kernel(spec):
  """Returns how many rows and how many lengths the kernel of a GPU gets."""
  rows = NamedSharding(mesh, P('rows'))
  x = jax.ShapeDtypeStruct((ROWS, 64, 2, 64), jnp.bfloat16, sharding=rows)
  lengths = jax.ShapeDtypeStruct(
    (ROWS,), jnp.int32, sharding=NamedSharding(mesh, spec)
  )
  options = {'xla_gpu_autotune_level': 0, 'xla_gpu_enable_triton_gemm': False}
  text = jax.jit(attend).lower(x, lengths).compile(options).as_text()
  call = next(line for line in text.splitlines() if '__cudnn$fmha' in line)
  types = call.split('operand_layout_constraints=')[1]
  return tuple(
    int(re.search(kind + r'\[(\d+)', types).group(1)) for kind in ('bf16', 's32')
  )


sharded, whole = map(lengths_of_a_kernel, (P('rows'), P()))
print(f'rows and lengths of a kernel: sharded {sharded}, whole {whole}')
assert sharded == (ROWS // GPUS, ROWS // GPUS)
raise SystemExit(0 if whole == (ROWS // GPUS, ROWS) else 1)
PY
