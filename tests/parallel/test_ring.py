"""A training step whose negatives go around the ring under `jit`."""

import functools

import chex
import jax
import numpy as np
import optax
import pytest

from jaxssl import models
from jaxssl.augment.crop_spec import CropSpec
from jaxssl.augment.view import Augment, View
from jaxssl.methods import SimCLR
from jaxssl.parallel import modes
from jaxssl.train.state import init_state
from jaxssl.train.step import train_step
from tests.tiny import TinyEncoder

VIEW = View(crop=CropSpec(size=16, scale=(0.5, 1.0)))
# The small arrays of the tiny network are cut too.
SMALLEST = 64
MODES = {
  'one device': lambda: modes.make_mode('jit', num_devices=1),
  'whole state': lambda: modes.make_mode('jit', num_devices=8),
  'shared state': lambda: modes.Jit(modes.make_mesh(fsdp=4), smallest=SMALLEST),
}


def _parts(chunk):
  method = SimCLR(
    encoder=TinyEncoder(),
    head=models.SimCLRHead(num_layers=2, out_dim=16),
    temperature=1.0,
    chunk=chunk,
  )
  augment = Augment(views=(VIEW, VIEW))
  return {'method': method, 'augment': augment, 'tx': optax.sgd(0.2)}


def _batch():
  pictures = np.random.default_rng(0).integers(0, 256, (16, 16, 16, 3))
  return {'image': pictures.astype(np.uint8), 'label': np.arange(16)}


@functools.lru_cache
def _compiled(name, chunk):
  mode, parts = MODES[name](), _parts(chunk)
  init = functools.partial(init_state, **parts)
  state = mode.init(init, jax.random.key(0), _batch())
  step = mode.compile(functools.partial(train_step, **parts))
  batch = mode.put_batch(_batch())
  return mode, step.lower(state, batch).compile(), state, batch


def _two_steps(name, chunk):
  mode, step, state, batch = _compiled(name, chunk)
  state = jax.tree.map(lambda x: x.copy(), state)
  losses = []
  for _ in range(2):
    state, metrics = step(state, batch)
    losses.append(mode.fetch(metrics)['loss'])
  return losses, jax.device_get(mode.get_state(state).params)


@pytest.mark.parametrize('name', ['whole state', 'shared state'])
def test_a_ring_trains_as_the_full_matrix_on_one_device(name):
  # Sums in another order, amplified by a step; as in the methods' contract.
  chex.assert_trees_all_close(
    _two_steps(name, chunk=3),
    _two_steps('one device', chunk=None),
    atol=2e-5,
    rtol=2e-5,
  )


def test_the_columns_travel():
  _, step, _, _ = _compiled('shared state', 3)
  assert 'collective-permute' in step.as_text()
