"""State and batch of a config as shapes, without data or weights."""

import dataclasses
from typing import Any, Literal, NoReturn

import numpy as np

from jaxssl import build
from jaxssl.config import Config
from jaxssl.data import order
from jaxssl.methods.base import Batch
from jaxssl.train.state import TrainState


@dataclasses.dataclass(frozen=True)
class _Unopened:
  """Stands for the data, of which only the number of records matters here."""

  num_examples: int
  name: str = 'data that is not opened'
  class_names: None = None
  captions: None = None
  fingerprint: str = ''
  identity: str = ''
  content: Literal['paths'] = 'paths'

  def fetch(self, indices: np.ndarray) -> NoReturn:
    raise OSError(f'{self.name}: {len(indices)} records were asked for')

  def locate(
    self, positions: np.ndarray, *, seed: int
  ) -> tuple[np.ndarray, np.ndarray]:
    return order.locate(positions, num_examples=self.num_examples, seed=seed)

  def describe(self, index: int) -> str:
    return f'{self.name}[{index}]'


@dataclasses.dataclass(frozen=True)
class Plan:
  """A training step and the shapes of what it takes.

  Attributes:
    run: the objects of the run.
    state: state of step zero.
    batch: the global one.
    fsdp: devices that share one copy of the state; None for all.
  """

  run: build.Run
  state: TrainState
  batch: Batch
  fsdp: int | None

  @property
  def step(self) -> Any:
    """The training step, not compiled; see `Learner.step`."""
    return self.run.learner.step


def plan(
  config: Config, *, batch_size: int | None = None, num_examples: int
) -> Plan:
  """Returns the step of a config.

  Args:
    config: from `schema.complete`.
    batch_size: rows of the global batch; None for that of the config.
    num_examples: number of examples of the data, which is not opened; schedules
      in epochs follow from it.

  Raises:
    UserError: for a config that `build` refuses.
  """
  rows = batch_size or config['train']['batch_size']
  train, fsdp = config['train'], config['train']['fsdp']
  # The devices of this machine, which `build` looks at, are not those meant.
  here = {'num_devices': 1, 'fsdp': 1 if fsdp == 1 else None}
  train = {**train, **here, 'batch_size': rows}
  run = build.build({**config, 'train': train}, _Unopened(num_examples))
  batch = run.batch_shapes(rows)
  return Plan(run, run.learner.abstract(batch), batch, fsdp)
