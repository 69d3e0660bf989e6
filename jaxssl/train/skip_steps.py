"""Parameters that the optimizer leaves alone for a while."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

PyTree = Any


class SkipState(NamedTuple):
  """State of `skip_steps`: int32 steps seen so far, and the inner state."""

  # The name that optax gives it, and checkpoints have. A tuple has a method
  # `count` too, which nobody needs.
  count: jax.Array  # pyright: ignore[reportIncompatibleMethodOverride]
  inner: PyTree


def skip_steps(
  inner: optax.GradientTransformation, num_steps: int
) -> optax.GradientTransformation:
  """Leaves parameters and the inner state untouched for `num_steps` steps.

  This is what PyTorch does when a gradient is None (DINO's `cancel_gradients_
  last_layer`, SwAV's frozen prototypes): no decay, no moments, no step count.
  A zero gradient would not be the same.
  """

  def init(params: PyTree) -> SkipState:
    return SkipState(jnp.zeros((), jnp.int32), inner.init(params))

  def update(
    updates: PyTree, state: PyTree, params: PyTree | None = None
  ) -> tuple[PyTree, SkipState]:
    # Computed in each step and taken when it is time: one program for all.
    moved, inner_state = inner.update(updates, state.inner, params)
    active = state.count >= num_steps

    def keep(new: PyTree, old: PyTree) -> PyTree:
      return jax.tree.map(lambda a, b: jnp.where(active, a, b), new, old)

    zeros = jax.tree.map(jnp.zeros_like, moved)
    return keep(moved, zeros), SkipState(
      jnp.asarray(optax.safe_increment(state.count)),
      keep(inner_state, state.inner),
    )

  return optax.GradientTransformation(init, update)
