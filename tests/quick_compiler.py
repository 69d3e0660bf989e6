"""Flags of XLA for tests, which compile much and compute little."""

import importlib.util


def flags() -> str:
  """Returns a value for `XLA_FLAGS`: no optimisation, programs in one piece.

  A method's tests took 48 s of CPU with them, 80 s without.
  """
  chosen = [
    '--xla_backend_optimization_level=0',
    '--xla_llvm_disable_expensive_passes=true',
    '--xla_cpu_parallel_codegen_split_count=1',
  ]
  # libtpu ends the process at a flag that it does not know.
  if importlib.util.find_spec('libtpu') is None:
    chosen.append('--xla_cpu_use_fusion_emitters=false')
  return ' '.join(chosen)
