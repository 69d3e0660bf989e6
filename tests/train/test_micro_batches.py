"""A batch embedded in parts has the gradient of the whole batch."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxssl import models
from jaxssl.augment.crop_spec import CropSpec
from jaxssl.augment.view import Augment, View
from jaxssl.errors import UserError
from jaxssl.methods import CLIP, Rotation, SigLIP, SimCLR
from jaxssl.parallel import modes
from jaxssl.train import micro_batches
from jaxssl.train.state import init_state
from jaxssl.train.step import train_step
from tests.tiny import TinyEncoder

ROWS, SIZE = 16, 8


def _vit():
  # Drops paths, so that rows must keep their keys.
  return models.make_encoder(
    'vit_ti4', dim=16, depth=2, num_heads=2, drop_path=0.5
  )


def _towers(encoder):
  text = models.make_text_encoder(
    'clip_512', vocab_size=32, length=6, dim=16, depth=1, num_heads=2
  )
  head = models.Projection(out_dim=8)
  return {'encoder': encoder, 'text_encoder': text, 'head': head}


METHODS = {
  'clip': CLIP(**_towers(_vit())),
  'siglip': SigLIP(**_towers(_vit()), chunk=3),
  'simclr': SimCLR(encoder=_vit(), head=models.MoCoHead(out_dim=8)),
}


def _augment(method):
  views = 2 if isinstance(method, SimCLR) else 1
  return Augment(views=(View(crop=CropSpec(size=SIZE)),) * views)


def _batch():
  rng = np.random.default_rng(0)
  return {
    'image': rng.integers(0, 255, (ROWS, SIZE, SIZE, 3), np.uint8),
    'text': rng.integers(1, 32, (ROWS, 6), np.int32),
  }


def _shared(method):
  # Gradients here are up to 40; parameters then move by about one.
  tx = optax.sgd(0.03)
  return {'method': method, 'augment': _augment(method), 'tx': tx}


@functools.lru_cache
def _initial(name):
  init = functools.partial(init_state, **_shared(METHODS[name]))
  state = jax.jit(lambda: init(jax.random.key(0), _batch()).replace(key=()))()
  return jax.device_get(state)


def _after_a_step(name, mode_name, num_devices, parts):
  """Parameters and metrics after a step of plain gradient descent."""
  mode = modes.make_mode(mode_name, num_devices=num_devices)
  state = mode.put_state(_initial(name).replace(key=jax.random.key(1)))
  step = mode.compile(
    functools.partial(train_step, micro_batches=parts, **_shared(METHODS[name]))
  )
  state, metrics = step(state, mode.put_batch(_batch()))
  return jax.device_get(mode.get_state(state).params), mode.fetch(metrics)


@functools.lru_cache
def _expected(name):
  return _after_a_step(name, 'jit', 1, 1)


@pytest.mark.parametrize(
  ('name', 'mode', 'devices', 'parts'),
  [
    ('clip', 'jit', 4, 2),
    ('siglip', 'pmap', 2, 2),
    ('simclr', 'jit', 1, 8),
  ],
)
def test_step_equals_that_of_the_whole_batch(name, mode, devices, parts):
  # Sums of float32 in another order.
  chex.assert_trees_all_close(
    _after_a_step(name, mode, devices, parts),
    _expected(name),
    atol=1e-5,
    rtol=1e-5,
  )


def _trace(method, parts):
  init = functools.partial(init_state, **_shared(method))
  state = jax.eval_shape(init, jax.random.key(0), _batch())
  step = functools.partial(train_step, micro_batches=parts, **_shared(method))
  jax.eval_shape(step, state, _batch())


def test_activations_are_those_of_a_part():
  wide = models.make_encoder('vit_ti2', dim=64, depth=2, num_heads=2)
  method = CLIP(**_towers(wide))
  params, state = jax.eval_shape(
    method.init,
    jax.random.key(0),
    {'views': (jnp.zeros((2, 16, 16, 3)),), 'text': jnp.zeros((2, 6), int)},
  )
  batch = {
    'views': (jax.ShapeDtypeStruct((64, 16, 16, 3), jnp.float32),),
    'text': jax.ShapeDtypeStruct((64, 6), jnp.int32),
  }

  def memory(parts):
    fn = micro_batches.value_and_grad(method, parts)
    lowered = jax.jit(fn).lower(
      params, state, batch, key=jax.random.key(0), step=0
    )
    return lowered.compile().memory_analysis().temp_size_in_bytes

  assert memory(16) < memory(1) / 4


@pytest.mark.parametrize(
  ('method', 'parts', 'message'),
  [
    (CLIP(**_towers(TinyEncoder())), 2, 'without BatchNorm'),
    (Rotation(encoder=_vit()), 2, 'Rotation does not compare embeddings'),
    (METHODS['clip'], 3, 'do not divide into 3 micro-batches'),
  ],
)
def test_what_cannot_be_cut_is_a_user_error(method, parts, message):
  with pytest.raises(UserError, match=message):
    _trace(method, parts)
