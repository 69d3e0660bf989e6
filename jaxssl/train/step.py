"""The one training step: every method, every compile mode."""

import jax
import jax.numpy as jnp
import optax

from jaxssl.methods import trained_start
from jaxssl.methods.base import Batch, Method, PyTree
from jaxssl.parallel import collectives
from jaxssl.train.micro_batches import value_and_grad
from jaxssl.train.state import Augment, TrainState


def train_step(
  state: TrainState,
  batch: Batch,
  *,
  method: Method,
  augment: Augment,
  tx: optax.GradientTransformation,
  micro_batches: int = 1,
  freeze_steps: int = 0,
  axis_name: str | None = None,
) -> tuple[TrainState, dict[str, jax.Array]]:
  """Augments, differentiates, averages over devices, updates.

  Args:
    state: state after `state.step` steps.
    batch: rows at hand, as the input pipeline yields them.
    method: loss and its own update.
    augment: makes `batch['views']` from per-row keys.
    tx: optimizer.
    micro_batches: parts that the batch goes through the networks in.
    freeze_steps: what the method remembers of its encoder (batch statistics, a
      slow network) stays for so many first steps, as its parameters do by `tx`.
    axis_name: mapped device axis, or None in the global view.

  Returns:
    The next state and float32 scalars to log: the method's metrics, `loss` and
    `grad_norm` (global L2 norm before the optimizer's clipping).
  """
  # Of the run's key and the step alone, so a step that is made again after a
  # stop draws what it drew before.
  step_key = jax.random.fold_in(state.key, state.step)
  augment_key, loss_key = jax.random.split(step_key)
  batch = augment(augment_key, batch, axis_name)

  (loss, aux), grads = value_and_grad(method, micro_batches)(
    state.params,
    state.method_state,
    batch,
    key=loss_key,
    step=state.step,
    axis_name=axis_name,
  )
  # Devices hold equally many rows, so means of their means are those of the
  # global batch. The carry is equal on all devices by contract.
  grads, loss, metrics = collectives.pmean(
    (grads, loss, aux.metrics), axis_name
  )

  updates, opt_state = tx.update(grads, state.opt_state, state.params)
  params = optax.apply_updates(state.params, updates)
  params, method_state = method.update(
    params, state.method_state, aux.carry, step=state.step
  )
  # Known when the step is traced: other runs carry nothing of it.
  if freeze_steps:
    method_state = _held(method, state, method_state, freeze_steps)

  state = state.replace(
    step=state.step + 1,
    params=params,
    method_state=method_state,
    opt_state=opt_state,
  )
  return state, {
    'loss': loss,
    # Of frozen parameters too.
    'grad_norm': optax.global_norm(grads),
    **metrics,
  }


def _held(
  method: Method, state: TrainState, new: PyTree, freeze_steps: int
) -> PyTree:
  """Returns what a method remembers, with the encoder as it was if frozen."""
  towers = method.export(state.params, state.method_state)
  held = trained_start.keep_encoder(new, state.method_state, towers['encoder'])
  is_frozen = state.step < freeze_steps
  # One program for all steps: where the freezing ends is a number in it.
  return jax.tree.map(lambda a, b: jnp.where(is_frozen, a, b), held, new)
