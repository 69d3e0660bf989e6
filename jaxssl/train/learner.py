"""What is trained, and how: one noun for a method, its views, its optimizer."""

from collections.abc import Mapping
import dataclasses

import jax
import optax

from jaxssl.methods.base import Batch, Method, PyTree
from jaxssl.train.micro_batches import value_and_grad
from jaxssl.train.state import Augment, TrainState, init_state
from jaxssl.train.step import train_step


@dataclasses.dataclass(frozen=True, kw_only=True)
class Learner:
  """Starts a state and steps it; a pure function of state and batch.

  It knows neither data nor devices: `parallel.modes.Mode` compiles `init` and
  `step` for the latter.

  Attributes:
    method: what is trained.
    augment: makes the views on the device.
    tx: the optimizer.
    micro_batches: parts that the batch goes through the networks in.
    freeze_steps: first steps in which the encoder is frozen, as in `tx`.

  Raises:
    UserError: when made, if the batch of this method cannot be cut.
  """

  method: Method
  augment: Augment
  tx: optax.GradientTransformation
  micro_batches: int = 1
  freeze_steps: int = 0

  def __post_init__(self) -> None:
    """Refuses a method whose batch cannot be cut."""
    value_and_grad(self.method, self.micro_batches)

  def init(
    self,
    key: jax.Array,
    batch: Batch,
    towers: Mapping[str, PyTree] | None = None,
  ) -> TrainState:
    """Returns the state of step zero, see `init_state`.

    Args:
      key: typed PRNG key of the run.
      batch: a batch as the input pipeline yields it; only its shapes matter.
      towers: trained variables to start from, or None.
    """
    return init_state(
      key,
      batch,
      towers,
      method=self.method,
      augment=self.augment,
      tx=self.tx,
    )

  def step(
    self, state: TrainState, batch: Batch, *, axis_name: str | None = None
  ) -> tuple[TrainState, dict[str, jax.Array]]:
    """Returns the next state and what to log, see `train_step`.

    Args:
      state: the state before the step.
      batch: rows at hand, as the input pipeline yields them.
      axis_name: mapped device axis, or None in the global view.
    """
    return train_step(
      state,
      batch,
      method=self.method,
      augment=self.augment,
      tx=self.tx,
      micro_batches=self.micro_batches,
      freeze_steps=self.freeze_steps,
      axis_name=axis_name,
    )

  def abstract(
    self, batch: Batch, towers: Mapping[str, PyTree] | None = None
  ) -> TrainState:
    """Returns shapes and types of the state, without any computation.

    Args:
      batch: a batch as the input pipeline yields it, or its shapes.
      towers: see `init`; they change neither shapes nor types, but may not fit.
    """
    return jax.eval_shape(self.init, jax.random.key(0), batch, towers)
