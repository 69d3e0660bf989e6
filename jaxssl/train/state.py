"""Everything that a run remembers between steps."""

from collections.abc import Callable
from typing import Any

from flax import struct
import jax
import jax.numpy as jnp
import optax

from jaxssl.errors import UserError
from jaxssl.methods.base import Batch, Method, PyTree, StartsTrained

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
  encoder: PyTree | None = None,
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
    encoder: variables that the encoder starts from, for a method with
      `with_encoder`; None for those that the method draws.
    method: what is trained.
    augment: makes `batch['views']`.
    tx: optimizer.
  """
  init_key, loop_key, augment_key = jax.random.split(key, 3)
  params, method_state = method.init(
    init_key, augment(augment_key, batch, None)
  )
  if encoder is not None:
    if not isinstance(method, StartsTrained):
      kind = type(method).__name__
      raise UserError(f'{kind} does not start from the weights of an encoder')
    params, method_state = method.with_encoder(params, method_state, encoder)
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
