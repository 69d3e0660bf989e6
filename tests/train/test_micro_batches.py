"""A batch in parts has the gradient of the whole batch."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxssl import models
from jaxssl.errors import UserError
from jaxssl.methods import METHODS, MoCoV3, contrast, row_sums
from jaxssl.parallel import modes
from jaxssl.train import micro_batches
from jaxssl.train.state import init_state
from jaxssl.train.step import train_step
from tests import tiny_methods
from tests.tiny import TinyEncoder

# Some rows have no label.
BATCH = tiny_methods.noise_batch(lowest_label=-1)


def _make(name):
  own = METHODS[name].tiny.encoder
  if own and not own['name'].startswith('vit'):
    return tiny_methods.make(name)
  # Drops paths, so that rows must keep their keys.
  return tiny_methods.make(name, tiny_methods.vit(name, drop_path=0.5))


def _kind(name):
  make = METHODS[name].make
  return (make.func if isinstance(make, functools.partial) else make).loss


COMPARED = [name for name in METHODS if _kind(name) is contrast.loss]
SUMMED = [name for name in METHODS if _kind(name) is row_sums.mean_loss]


def _shared(name, method):
  # Gradients here are up to 40, MoCo v3's to 130; parameters then move by about
  # one.
  tx = optax.sgd(0.008 if isinstance(method, MoCoV3) else 0.03)
  return {'method': method, 'augment': tiny_methods.augment(name), 'tx': tx}


@functools.lru_cache
def _initial(name):
  init = functools.partial(init_state, **_shared(name, _make(name)))
  state = jax.jit(lambda: init(jax.random.key(0), BATCH).replace(key=()))()
  return jax.device_get(state)


def _after_steps(name, mode_name, num_devices, parts, batch=BATCH):
  """Parameters, state and metrics after steps of plain gradient descent."""
  mode = modes.make_mode(mode_name, num_devices=num_devices)
  state = mode.put_state(_initial(name).replace(key=jax.random.key(1)))
  step = mode.compile(
    functools.partial(
      train_step, micro_batches=parts, **_shared(name, _make(name))
    )
  )
  # Whoever is next to whom may flip by rounding after a step.
  for _ in range(1 if name in COMPARED else 3):
    state, metrics = step(state, mode.put_batch(batch))
  state = mode.get_state(state)
  return jax.device_get((state.params, state.method_state)), mode.fetch(metrics)


@functools.lru_cache
def _expected(name):
  return _after_steps(name, 'jit', 1, 1)


# Each compiles the step twice; the rest runs with --full.
CASES = [
  ('clip', 'jit', 4, 2),
  ('siglip', 'pmap', 2, 2),
  ('simclr', 'jit', 1, 8),
  ('moco_v3', 'pmap', 2, 4),
  ('dino', 'pmap', 2, 2),
  ('beit', 'jit', 4, 2),
  ('supervised', 'pmap', 4, 2),
]
CASES += [
  pytest.param(name, mode, 2, 4, marks=pytest.mark.full)
  for name in COMPARED + SUMMED
  for mode in ('jit', 'pmap')
]


@pytest.mark.slow
@pytest.mark.parametrize(('case', 'mode', 'devices', 'parts'), CASES)
def test_steps_equal_those_of_the_whole_batch(case, mode, devices, parts):
  # Sums of float32 in another order.
  chex.assert_trees_all_close(
    _after_steps(case, mode, devices, parts),
    _expected(case),
    atol=1e-5,
    rtol=1e-5,
  )


@pytest.mark.slow
@pytest.mark.parametrize(
  'case', ['coca', pytest.param('siglip2', marks=pytest.mark.full)]
)
def test_several_texts_of_an_image_stay_with_it(case):
  # Their losses have CLIP's and SigLIP's in them, and a decoder that looks at
  # the image once for each text.
  ids = np.random.default_rng(1).integers(1, 32, (16, 3, 6), np.int32)
  batch = {**BATCH, 'text': ids}
  chex.assert_trees_all_close(
    _after_steps(case, 'pmap', 2, 2, batch),
    _after_steps(case, 'jit', 1, 1, batch),
    atol=1e-5,
    rtol=1e-5,
  )


def _trace(name, method, parts):
  micro_batches.value_and_grad(method, parts)  # most are refused here
  shared = _shared(name, method)
  init = functools.partial(init_state, **shared)
  state = jax.eval_shape(init, jax.random.key(0), BATCH)
  step = functools.partial(train_step, micro_batches=parts, **shared)
  jax.eval_shape(step, state, BATCH)


def test_methods_declare_how_their_batch_is_cut():
  assert {'clip', 'coca', 'moco_v3', 'siglip', 'siglip2', 'simclr'} <= set(
    COMPARED
  )
  assert {'beit', 'dino', 'mae', 'rotation', 'supervised'} <= set(SUMMED)
  # Keys are shuffled over the batch, and heads have BatchNorm on the way.
  whole = METHODS.keys() - {*COMPARED, *SUMMED}
  assert whole == {'jigsaw', 'moco_v1', 'moco_v2', 'relative_patch'}


@pytest.mark.parametrize('name', COMPARED + SUMMED)
def test_every_such_method_takes_its_batch_in_parts(name):
  _trace(name, _make(name), 2)


def test_activations_are_those_of_a_part():
  wide = models.make_encoder('vit_ti2', dim=64, depth=2, num_heads=2)
  method = tiny_methods.make('clip', wide)
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
  ('name', 'encoder', 'parts', 'message'),
  [
    ('moco_v2', tiny_methods.vit('moco_v2'), 2, 'MoCo cannot .*GradCache'),
    ('jigsaw', TinyEncoder(), 2, 'Jigsaw cannot'),
    ('relative_patch', TinyEncoder(), 2, 'cannot'),
    ('clip', tiny_methods.vit('clip'), 3, 'do not divide into 3 micro-batches'),
    ('rotation', tiny_methods.vit('rotation'), 3, 'do not divide into 3 micro'),
  ],
)
def test_what_cannot_be_cut_is_a_user_error(name, encoder, parts, message):
  method = tiny_methods.make(name, encoder)
  with pytest.raises(UserError, match=message):
    _trace(name, method, parts)


@pytest.mark.parametrize(
  'name', [n for n in COMPARED + SUMMED if METHODS[n].takes('resnet18')]
)
def test_an_encoder_with_batch_statistics_is_a_user_error(name):
  with pytest.raises(UserError, match='without BatchNorm'):
    _trace(name, tiny_methods.make(name, TinyEncoder()), 2)
