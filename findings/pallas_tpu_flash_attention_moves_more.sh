#!/usr/bin/env bash
# JAX's fused attention for TPUs moves more bytes than XLA's plain one where
# pictures have some hundred tokens; its later one saves a fifth at most.
#
# Versions: jax and jaxlib 0.10.2, libtpu 0.0.42.1, Python 3.11; 2026-11-30.
# Compiled for one TPU v5e by libtpu, on a machine without a TPU; nothing runs.
#
# Where it matters: who replaces `jax.nn.dot_product_attention` of a vision
# transformer by `jax.experimental.pallas.ops.tpu.flash_attention` to save
# memory traffic, as cuDNN's fused kernels do on GPUs.
#
# One would guess that a kernel that never writes the scores moves less: they
# are the largest arrays of a block. Seen, for projections, attention and their
# gradient, in the compiler's own `bytes accessed`: with 128 pictures of 197
# tokens and 12 heads of 64 the flash kernel moves 1.12 times the bytes of the
# plain attention, with 64 pictures of 50 tokens 1.8 times. It takes lengths
# that are multiples of 128, keeps two float32 numbers a row as 128 equal ones,
# and wants heads before tokens. XLA's compiler fuses the softmax into the
# products, and keeps small scores beside the cores. `splash_attention`, the
# later kernel, moves 0.72 and 1.3 times the bytes.
#
# Exits with 1 if this changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check \
  jax==0.10.2 jaxlib==0.10.2 libtpu==0.0.42.1 numpy==2.4.6
JAX_PLATFORMS=cpu TPU_SKIP_MDS_QUERY=1 ALLOW_MULTIPLE_LIBTPU_LOAD=1 \
  "$folder/venv/bin/python" - <<'PYTHON'
import functools

import jax
from jax.experimental import topologies
from jax.experimental.pallas.ops.tpu import flash_attention as flash_lib
from jax.experimental.pallas.ops.tpu.splash_attention import (
  splash_attention_kernel as splash_lib,
  splash_attention_mask as masks,
)
import jax.numpy as jnp
from jax.sharding import SingleDeviceSharding

device = topologies.get_topology_desc(
  platform='tpu', topology_name='v5e:2x2'
).devices[0]
KERNELS_TAKE = 128


def heads_first(x):
  """Pads the tokens and returns [b, heads, tokens, d]."""
  more = -x.shape[1] % KERNELS_TAKE
  return jnp.pad(x, ((0, 0), (0, more), (0, 0), (0, 0))).swapaxes(1, 2)


def fused(kernel, q, k, v):
  tokens, scale = q.shape[1], q.shape[-1] ** -0.5
  q, k, v = map(heads_first, (q * jnp.asarray(scale, q.dtype), k, v))
  # Padding attends to padding alone.
  kind = (jnp.arange(q.shape[2]) >= tokens).astype(jnp.int32)
  return kernel(q, k, v, kind).swapaxes(1, 2)[:, :tokens]


def flash(q, k, v, kind):
  rows, _, tokens, _ = q.shape
  sides = (
    'q k_major k q_major_dkv k_major_dkv k_dkv q_dkv k_major_dq k_dq q_dq'
  ).split()
  sizes = {f'block_{side}': tokens for side in sides}
  kinds = jnp.broadcast_to(kind, (rows, tokens))
  return flash_lib.flash_attention(
    q,
    k,
    v,
    segment_ids=flash_lib.SegmentIds(kinds, kinds),
    block_sizes=flash_lib.BlockSizes(block_b=1, **sizes),
  )


def splash(q, k, v, kind):
  _, heads, tokens, _ = q.shape
  sides = 'q kv kv_compute q_dkv kv_dkv kv_dkv_compute'.split()
  sizes = {f'block_{side}': tokens for side in sides}
  kernel = splash_lib.make_splash_mha_single_device(
    masks.MultiHeadMask([masks.FullMask((tokens, tokens))] * heads),
    block_sizes=splash_lib.BlockSizes(use_fused_bwd_kernel=True, **sizes),
  )
  ids = splash_lib.SegmentIds(kind, kind)
  return jax.vmap(functools.partial(kernel, segment_ids=ids))(q, k, v)


def moved(attention, rows, tokens, heads, d):
  """Returns the bytes of projections, attention and their gradient."""

  def loss(x, inner, outer):
    shape = (rows, tokens, heads, d)
    q, k, v = ((x @ matrix).reshape(shape) for matrix in inner)
    y = x + attention(q, k, v).reshape(x.shape) @ outer
    return jnp.square(y.astype(jnp.float32)).mean()

  def array(*shape):
    sharding = SingleDeviceSharding(device)
    return jax.ShapeDtypeStruct(shape, jnp.bfloat16, sharding=sharding)

  width = heads * d
  step = jax.jit(jax.grad(loss, (0, 1, 2))).lower(
    array(rows, tokens, width), array(3, width, width), array(width, width)
  )
  return step.compile().cost_analysis()['bytes accessed']


ATTENTIONS = {
  'plain': jax.nn.dot_product_attention,
  'flash': functools.partial(fused, flash),
  'splash': functools.partial(fused, splash),
}
found = {}
for case in ((128, 197, 12, 64), (64, 50, 12, 64)):
  gib = {name: moved(x, *case) / 2**30 for name, x in ATTENTIONS.items()}
  print(case, {name: round(x, 2) for name, x in gib.items()})
  found[case[1]] = [gib[name] / gib['plain'] for name in ('flash', 'splash')]
long, short = found[197], found[50]
assert long[0] > 1.05 and 0.6 < long[1] < 0.9
assert short[0] > 1.5 and short[1] > 1.1
PYTHON
