"""Methods that compare the rows of a batch need two of them."""

import jax
import numpy as np
import optax
import pytest

from jaxssl.errors import UserError
from jaxssl.methods import METHODS, contrast
from jaxssl.train.learner import Learner
from tests import tiny_methods

CONTRASTIVE = [
  name
  for name in METHODS
  if type(tiny_methods.make(name)).loss is contrast.loss
]


# Rows of a device that a method needs of two: whitening of four dimensions.
FEWEST = {'wmse': 8}


def _step(name, rows, *, micro_batches=1, devices=None):
  """Shapes of a step; a device has `rows`."""
  vit = tiny_methods.vit(name) if micro_batches > 1 else None
  learner = Learner(
    method=tiny_methods.make(name, vit),
    augment=tiny_methods.augment(name),
    tx=optax.sgd(0.1),
    micro_batches=micro_batches,
  )
  batch = {k: v[:rows] for k, v in tiny_methods.noise_batch().items()}
  state = learner.abstract(batch)
  if devices is None:
    return jax.eval_shape(learner.step, state, batch)

  def step(state, batch):
    return learner.step(state, batch, axis_name='d')

  batch = jax.tree.map(lambda x: np.stack([x] * devices), batch)
  per_device = jax.vmap(step, in_axes=(None, 0), axis_name='d')
  return jax.eval_shape(per_device, state, batch)


def test_they_are_those_that_compare_rows():
  bases = {type(tiny_methods.make(name)).__name__ for name in CONTRASTIVE}
  assert bases > {'CLIP', 'MoCoV3', 'SimCLR', 'WMSE'}
  assert not bases & {'BEiT', 'DINO', 'MAE', 'MoCo', 'Rotation'}


@pytest.mark.parametrize('name', CONTRASTIVE)
def test_a_batch_of_one_row_is_refused(name):
  with pytest.raises(UserError, match='a batch of 1 has nothing to compare'):
    _step(name, 1)


@pytest.mark.parametrize('name', CONTRASTIVE)
def test_rows_of_all_devices_count(name):
  with pytest.raises(UserError, match='a batch of 1 has nothing to compare'):
    _step(name, 1, devices=1)
  _step(name, FEWEST.get(name, 1), devices=2)


@pytest.mark.parametrize('micro_batches', [1, 2])
def test_two_rows_are_enough_however_they_are_cut(micro_batches):
  _step('clip', 2, micro_batches=micro_batches)
