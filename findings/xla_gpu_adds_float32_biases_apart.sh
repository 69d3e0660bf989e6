#!/usr/bin/env bash
# jax 0.10.2 with jax-cuda13-pjrt 0.10.2 (Python 3.11), seen on 2026-11-30.
#
# relu(x @ w + b + s) of bfloat16 arrays, compiled for an H100 by XLA's own
# compiler (no GPU is needed), b a vector for each column and s an array like
# the result. cuBLASLt computes all of it in one call.
#
# One would guess: a bias that is added in float32, as the product is summed, is
# the natural one to fuse: rounding once, at the end, is what the library does.
# Seen: only a bias that is rounded to bfloat16 and added in bfloat16 goes into
# the call, and ReLU with it (epilogue BIAS_RELU). Added in float32, before or
# after s, neither does: the product is written, and a kernel reads it again.
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
import re

import jax
from jax.experimental import topologies
import jax.numpy as jnp
from jax.sharding import SingleDeviceSharding

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
bf16, f32 = jnp.bfloat16, jnp.float32


def in_bfloat16(x, w, b, s):
  return jnp.maximum(x @ w + s + b.astype(bf16), 0)


def in_float32(x, w, b, s):
  return jnp.maximum((x @ w + s).astype(f32) + b, 0).astype(bf16)


def bias_first(x, w, b, s):
  return jnp.maximum(((x @ w).astype(f32) + b).astype(bf16) + s, 0)


def compiled(fn):
  device = topologies.get_topology_desc(
    platform='cuda', target_config=H100, topology='1x1x1'
  ).devices[0]
  place = SingleDeviceSharding(device)
  shapes = ((4096, 64), bf16), ((64, 256), bf16), ((256,), f32)
  arguments = [
    jax.ShapeDtypeStruct(shape, dtype, sharding=place)
    for shape, dtype in (*shapes, ((4096, 256), bf16))
  ]
  lowered = jax.jit(fn).lower(*arguments)
  text = lowered.compile(compiler_options=OPTIONS).as_text()
  return re.search(r'"epilogue":"(\w+)"', text).group(1)


found = {fn.__name__: compiled(fn) for fn in (in_bfloat16, in_float32, bias_first)}
print(found)
assert found == {
  'in_bfloat16': 'BIAS_RELU',
  'in_float32': 'DEFAULT',
  'bias_first': 'DEFAULT',
}
PY
