"""State and batch of a config as shapes, without data or weights."""

from collections.abc import Mapping
import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp

from jaxssl import build
from jaxssl.config import Config
from jaxssl.methods.base import Batch
from jaxssl.train.state import TrainState, init_state
from jaxssl.train.step import train_step

Shape = jax.ShapeDtypeStruct


@dataclasses.dataclass(frozen=True)
class _Records:
  """Stands for the data, of which only the number matters here."""

  num_examples: int


@dataclasses.dataclass(frozen=True)
class Plan:
  """A training step and the shapes of what it takes.

  Attributes:
    run: the objects of the run.
    state: of step zero.
    batch: the global one.
    fsdp: devices that share one copy of the state; None for all.
  """

  run: build.Run
  state: TrainState
  batch: Batch
  fsdp: int | None

  @property
  def step(self) -> Any:
    """The training step, not compiled; see `train_step`."""
    return functools.partial(
      train_step,
      **_parts(self.run),
      micro_batches=self.run.train.micro_batches,
    )


def plan(
  config: Config, *, batch_size: int | None = None, num_examples: int
) -> Plan:
  """Returns the step of a config.

  Args:
    config: from `build.complete`.
    batch_size: rows of the global batch; None for that of the config.
    num_examples: of the data, which is not opened; schedules in epochs follow
      from it.

  Raises:
    UserError: for a config that `build` refuses.
  """
  rows = batch_size or config['train']['batch_size']
  train, fsdp = config['train'], config['train']['fsdp']
  # The devices of this machine, which `build` looks at, are not those meant.
  here = {'num_devices': 1, 'fsdp': 1 if fsdp == 1 else None}
  train = {**train, **here, 'batch_size': rows}
  run = build.build({**config, 'train': train}, _Records(num_examples))
  init = functools.partial(init_state, **_parts(run))
  state = jax.eval_shape(init, jax.random.key(0), batch_shapes(run, 2))
  return Plan(run, state, batch_shapes(run, rows), fsdp)


def without_recomputation(config: Config) -> Config:
  """Returns the config with `remat` off wherever it is on."""
  return {
    name: {**section, 'remat': False}
    if isinstance(section, Mapping) and section.get('remat')
    else section
    for name, section in config.items()
  }


def batch_shapes(run: build.Run, rows: int) -> Batch:
  """Returns a batch as the input pipeline yields it, on the device."""

  def pictures(side):
    return Shape((rows, side, side, 3), jnp.uint8)

  batch: dict[str, Any] = {'label': Shape((rows,), jnp.int32)}
  if run.input.crop == 'host':
    batch['crops'] = tuple(pictures(c.size) for c in run.augment.crops)
  else:
    batch['image'] = pictures(run.input.image_size)
  if run.tokenizer:
    batch['text'] = Shape((rows, run.tokenizer.length), jnp.int32)
  return batch


def _parts(run: build.Run) -> dict[str, Any]:
  return {'method': run.method, 'augment': run.augment, 'tx': run.tx}
