"""Everything that a run remembers between steps."""

from collections.abc import Callable, Mapping
from typing import Any

from flax import struct
import jax
import jax.numpy as jnp
import optax

from jaxssl.methods import trained_start
from jaxssl.methods.base import Batch, Method, PyTree

# (key, batch, axis_name) -> batch with `views`.
Augment = Callable[[jax.Array, Batch, str | None], Batch]


class TrainState(struct.PyTreeNode):
  """What a checkpoint holds; step and seed also fix the data position.

  Attributes:
    step: int32 scalar, number of finished optimizer steps.
    params: what the optimizer changes.
    method_state: all the rest that the method remembers.
    opt_state: state of the optax transformation.
    key: typed PRNG key of the run; each step folds its number into it.
  """

  step: jax.Array
  params: PyTree
  method_state: PyTree
  opt_state: PyTree
  key: jax.Array


def init_state(
  key: jax.Array,
  batch: Batch,
  towers: Mapping[str, PyTree] | None = None,
  *,
  method: Method,
  augment: Augment,
  tx: optax.GradientTransformation,
) -> TrainState:
  """Builds the state of step zero; run it under `jit` or `eval_shape`.

  Args:
    key: typed PRNG key of the run.
    batch: a batch as the input pipeline yields it; only its shapes matter,
      unless the method initialises from data.
    towers: trained variables to start from, see
      `methods.trained_start.with_towers`; None for those that the method draws.
    method: what is trained.
    augment: makes `batch['views']`.
    tx: optimizer.

  Raises:
    UserError: if the method cannot start from the weights of an encoder.
  """
  init_key, loop_key, augment_key = jax.random.split(key, 3)
  # In the global view in each mode: initialisation is no part of the mapped
  # step.
  params, method_state = method.init(
    init_key, augment(augment_key, batch, None)
  )
  if towers is not None:
    params, method_state = trained_start.with_towers(
      method, params, method_state, towers
    )
  return TrainState(
    step=jnp.zeros((), jnp.int32),
    params=params,
    method_state=method_state,
    opt_state=tx.init(params),
    key=loop_key,
  )


def num_parameters(params: Any) -> int:
  """Returns the number of scalars in `params`."""
  return sum(leaf.size for leaf in jax.tree.leaves(params))
