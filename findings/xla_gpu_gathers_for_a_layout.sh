#!/usr/bin/env bash
# jax 0.10.2 with jax-cuda13-pjrt 0.10.2 (Python 3.11), seen on 2026-11-30.
#
# with_layout_constraint on an array whose rows are spread over eight H100,
# compiled by XLA's own compiler (no GPU is needed).
#
# One would guess: how an array lies in the memory of a device is the business
# of each device, so a constraint that keeps the usual layout costs nothing.
# Seen: every device gathers the whole array, and takes its rows out of it. With
# the same constraint inside custom_partitioning nothing is gathered.
#
# Exits with 0 as long as this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m pip install --quiet --disable-pip-version-check \
  --target "$folder/site" jax==0.10.2 jaxlib==0.10.2 numpy==2.4.6 \
  jax-cuda13-pjrt==0.10.2 jax-cuda13-plugin==0.10.2 nvidia-cuda-nvcc==13.5.37 \
  nvidia-nvvm==13.5.37 nvidia-cudnn-cu13==9.28.1.4
PYTHONPATH=$folder/site JAX_PLATFORMS=cpu "${PYTHON:-python3}" - <<'PY'
import jax
from jax.experimental import topologies
from jax.experimental.custom_partitioning import custom_partitioning
from jax.experimental.layout import Layout, with_layout_constraint
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
import numpy as np

H100 = """
gpu_device_info {
  cuda_compute_capability { major: 9 }
  core_count: 132  fpus_per_core: 128  clock_rate_ghz: 1.98
  l2_cache_size: 52428800  memory_bandwidth: 3350000000000
  device_memory_size: 85899345920
  shared_memory_per_core: 233472
  shared_memory_per_block: 49152  shared_memory_per_block_optin: 232448
  registers_per_core_limit: 65536  registers_per_block_limit: 65536
  threads_per_warp: 32  threads_per_block_limit: 1024
  threads_per_core_limit: 2048
  block_dim_limit_x: 2147483647  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
}
platform_name: "CUDA"
runtime_version { major: 13 }
dnn_version_info { major: 9 minor: 12 }
device_description_str: "NVIDIA H100 80GB HBM3"
"""
OPTIONS = {'xla_gpu_autotune_level': 0, 'xla_gpu_enable_triton_gemm': False}


def constrained(x):
  return with_layout_constraint(x, Layout((0, 1)))


split = custom_partitioning(constrained)
split.def_partition(
  partition=lambda mesh, operands, result: (
    mesh, constrained, operands[0].sharding, (operands[0].sharding,)
  ),
  infer_sharding_from_operands=lambda mesh, operands, result: (
    operands[0].sharding
  ),
  sharding_rule='i j -> i j',
)


def gathers(fn):
  devices = topologies.get_topology_desc(
    platform='cuda', target_config=H100, topology='1x1x8'
  ).devices
  place = NamedSharding(Mesh(np.array(devices), 'd'), P('d'))
  x = jax.ShapeDtypeStruct((4096, 256), jnp.float32, sharding=place)
  step = jax.jit(lambda x: jnp.sin(fn(jnp.cos(x))), out_shardings=place)
  text = step.lower(x).compile(compiler_options=OPTIONS).as_text()
  return 'all-gather' in text


found = gathers(constrained), gathers(split)
print(found)
assert found == (True, False)
PY
