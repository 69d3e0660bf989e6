"""Flags of XLA for tests, which compile much and compute little."""

import importlib.metadata
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
  # XLA ends the process at a flag that it does not know: libtpu's does not have
  # this one, and that of jaxlib 0.12 has it no more.
  has_emitters = importlib.metadata.version('jaxlib').startswith('0.10.')
  if has_emitters and importlib.util.find_spec('libtpu') is None:
    chosen.append('--xla_cpu_use_fusion_emitters=false')
  return ' '.join(chosen)
