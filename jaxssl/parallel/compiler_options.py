"""Options that the training step is compiled with, by platform.

They decide the bits of a run, so a result names them (`runs.recipe`).
"""

from collections.abc import Mapping
import functools
from typing import Any

import jax

Options = Mapping[str, bool | str]
# `jax.Device`, which JAX defines in a way that no checker takes for a type.
Device = Any

# Scatters and sums without atomics, deterministic kernels of cuDNN and cuBLAS,
# and no choice among kernels by their speed. CPUs always do; a TPU's compiler
# does not know the option.
_SAME_BITS = {'xla_gpu_deterministic_ops': True}
# With this estimate XLA orders the kernels of several GPUs so that they wait
# little for each other, and no more so that they need little memory: what was
# to be recomputed late it recomputes early, and `remat` saves nothing. Without
# it eight GPUs need what one needs (benchmarks/results/remat.md).
_IN_ORDER = {'xla_gpu_enable_analytical_sol_latency_estimator': False}
_CPU = {
  # Of products, convolutions and sums, which XLA's CPU backend all gives to
  # YNNPACK, only the sums: its own products and convolutions are as fast or
  # faster (benchmarks/results/step.md).
  'xla_cpu_experimental_ynn_fusion_type': 'LIBRARY_FUSION_TYPE_REDUCE',
  # The pass that takes barriers out, before loops are fused: without it they
  # stay, and cost nothing (`ops.computed_once`).
  'xla_disable_hlo_passes': 'cse_barrier_expander',
}


def of_step(
  device: Device,
  *,
  mode: str = 'jit',
  deterministic: bool = False,
  recomputes: bool = False,
) -> Options:
  """Returns the options for a training step.

  What the compiler at hand does not know is left out: the flags of XLA come and
  go with its versions.

  Args:
    device: one of those that are compiled for; they need not be there.
    mode: see `modes.make_mode`; `pmap` takes no options.
    deterministic: have a GPU run the step with the same bits each time.
    recomputes: whether it computes activations twice to keep fewer of them.
  """
  if mode == 'pmap':
    return {}
  if device.platform == 'gpu':
    same_bits = _SAME_BITS if deterministic else {}
    return {**same_bits, **(known(_IN_ORDER) if recomputes else {})}
  return known(_CPU) if device.platform == 'cpu' else {}


def known(options: Options) -> Options:
  """Returns those of `options` that the compiler at hand takes.

  XLA has one list of them, whatever a compiler makes of each.
  """
  return {name: x for name, x in options.items() if _is_known(name, x)}


@functools.cache
def _is_known(name: str, value: bool | str) -> bool:
  with jax.default_device(_any_device()):
    empty = jax.jit(lambda: 0).lower()
  try:
    empty.compile(compiler_options={name: value})
  except jax.errors.JaxRuntimeError as error:
    if 'INVALID_ARGUMENT' not in str(error):
      raise
    return False
  return True


def _any_device() -> Device:
  """Returns a CPU, whose compiler is quick, or what there is instead."""
  try:
    return jax.local_devices(backend='cpu')[0]
  except RuntimeError:  # JAX_PLATFORMS=cuda has no CPU
    return jax.local_devices()[0]
