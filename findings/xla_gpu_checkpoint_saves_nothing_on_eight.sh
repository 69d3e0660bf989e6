#!/usr/bin/env bash
# jax 0.10.2 with jax-cuda13-pjrt 0.10.2 (Python 3.11), seen on 2026-11-30.
#
# A gradient step through twelve blocks, each under jax.checkpoint, compiled for
# one H100 and, with the same rows on each, for eight by XLA's own compiler (no
# GPU is needed). Weights are replicated; only gradients are summed.
#
# One would guess: jax.checkpoint saves as much memory on eight GPUs as on one,
# as each does the same and sums a few gradients more.
# Seen: one GPU needs 232 MiB of scratch memory, eight need 736 MiB each. The
# recomputation is still there, but early. Turning the latency-hiding scheduler
# off by its own option changes nothing; without the analytical estimate of
# latencies, which has an option of its own, eight need 232 MiB too.
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
DIM, DEPTH, ROWS = 1024, 12, 4096


@jax.checkpoint
def block(weights, x):
  first, second = weights
  hidden = jax.nn.gelu(x @ first)
  hidden = jnp.tanh(hidden) * jax.nn.sigmoid(hidden)
  return x + hidden @ second


def loss(weights, x):
  for each in weights:
    x = block(each, x)
  return jnp.square(x.astype(jnp.float32)).mean()


def step(weights, x):
  gradient = jax.grad(loss)(weights, x)
  return jax.tree.map(lambda w, g: w - 0.1 * g, weights, gradient)


def scratch_mib(count, **options):
  devices = topologies.get_topology_desc(
    platform='cuda', target_config=H100, topology=f'1x1x{count}'
  ).devices
  mesh = Mesh(np.array(devices), 'd')

  def array(rows, columns, spec):
    place = NamedSharding(mesh, spec)
    return jax.ShapeDtypeStruct((rows, columns), jnp.bfloat16, sharding=place)

  weights = [
    (array(DIM, 4 * DIM, P()), array(4 * DIM, DIM, P())) for _ in range(DEPTH)
  ]
  lowered = jax.jit(step, donate_argnums=0).lower(
    weights, array(ROWS * count, DIM, P('d'))
  )
  compiled = lowered.compile(compiler_options=OPTIONS | options)
  return compiled.memory_analysis().temp_size_in_bytes / 2**20


one, eight = scratch_mib(1), scratch_mib(8)
off = scratch_mib(8, xla_gpu_enable_latency_hiding_scheduler=False)
in_order = scratch_mib(8, xla_gpu_enable_analytical_sol_latency_estimator=False)
print(one, eight, off, in_order)
assert eight > 2 * one
assert off > 2 * one
assert in_order < 1.1 * one
PY
