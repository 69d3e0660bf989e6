"""Values that a CPU computes once, however often they are used."""

import jax
from jax import lax


def computed_once(x: jax.Array) -> jax.Array:
  """Returns `x`; on a CPU it and its gradient are computed once and kept.

  What is added, multiplied or compared XLA's CPU backend computes anew in each
  of its uses: a block of a residual network begins with the sum of all blocks
  before it, and the gradient of a kernel recomputes that in the order of its
  own layout (benchmarks/results/step.md). Other compilers weigh this
  themselves, and get `x` as it is.

  It counts in a training step, from which `parallel.compiler_options` keeps
  XLA's CPU backend from taking it out again.
  """
  return lax.platform_dependent(
    x, cpu=lax.optimization_barrier, default=lambda x: x
  )
