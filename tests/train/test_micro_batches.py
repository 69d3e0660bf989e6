"""A batch in parts has the gradient of the whole batch."""

import functools
import os

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
from jaxssl.methods import (
  CLIP,
  DINO,
  DVAE,
  MAE,
  BEiT,
  Colorization,
  Jigsaw,
  MoCo,
  MoCoV3,
  RelativePatch,
  Rotation,
  SigLIP,
  SimCLR,
  Supervised,
)
from jaxssl.parallel import modes
from jaxssl.train import micro_batches
from jaxssl.train.state import init_state
from jaxssl.train.step import train_step
from tests.tiny import TinyEncoder
from tests.tiny_tokenizer import tiny_tokenizer

ROWS, SIZE = 16, 16
# Each compiles the step twice; the rest runs with FULL=1.
FULL = os.environ.get('FULL') == '1'


def _vit(**fields):
  # Drops paths, so that rows must keep their keys.
  return models.make_encoder(
    'vit_ti4', dim=16, depth=2, num_heads=2, drop_path=0.5, **fields
  )


def _beit():
  encoder = _vit(position='relative', use_mask_token=True)
  return BEiT(
    encoder=encoder, tokenizer=tiny_tokenizer(), num_masked=6, min_block=2
  )


def _towers(encoder):
  text = models.make_text_encoder(
    'clip_512', vocab_size=32, length=6, dim=16, depth=1, num_heads=2
  )
  head = models.Projection(out_dim=8)
  return {'encoder': encoder, 'text_encoder': text, 'head': head}


METHODS = {
  'clip': lambda: CLIP(**_towers(_vit())),
  'siglip': lambda: SigLIP(**_towers(_vit()), chunk=3),
  # BatchNorm in the heads, which see all rows at once.
  'simclr': lambda: SimCLR(
    encoder=_vit(), head=models.SimCLRHead(num_layers=2, out_dim=8)
  ),
  'moco_v3': lambda: MoCoV3(
    encoder=_vit(position='sincos_moco'),
    head=models.MoCoV3Head(hidden_dim=32, out_dim=8),
  ),
  'mae': lambda: MAE(
    encoder=_vit(position='sincos_mae'),
    decoder_dim=16,
    decoder_depth=1,
    decoder_heads=2,
  ),
  'dino': lambda: DINO(
    encoder=_vit(),
    head=models.DINOHead(hidden_dim=32, bottleneck_dim=256, out_dim=24),
  ),
  # Rows hide different numbers of patches.
  'beit': _beit,
  'dvae': lambda: DVAE(
    encoder=models.make_encoder(
      'dvae', width=8, blocks_per_group=1, vocab_size=16
    ),
    decoder_init_width=8,
  ),
  'rotation': lambda: Rotation(encoder=_vit()),
  'colorization': lambda: Colorization(encoder=_vit(), decoder_dim=8),
  # Some rows have no label.
  'supervised': lambda: Supervised(encoder=_vit(), num_classes=4),
}


def _augment(method):
  views = 2 if isinstance(method, SimCLR | DINO | MoCo | MoCoV3) else 1
  view = View(crop=CropSpec(size=SIZE, scale=(0.5, 1.0)))
  return Augment(views=(view,) * views, keep_pixels=isinstance(method, BEiT))


def _batch():
  rng = np.random.default_rng(0)
  return {
    'image': rng.integers(0, 255, (ROWS, SIZE, SIZE, 3), np.uint8),
    'text': rng.integers(1, 32, (ROWS, 6), np.int32),
    'label': rng.integers(-1, 4, ROWS, np.int32),
  }


def _shared(method):
  # Gradients here are up to 40, MoCo v3's to 130; parameters then move by about
  # one.
  tx = optax.sgd(0.008 if isinstance(method, MoCoV3) else 0.03)
  return {'method': method, 'augment': _augment(method), 'tx': tx}


@functools.lru_cache
def _initial(name):
  init = functools.partial(init_state, **_shared(METHODS[name]()))
  state = jax.jit(lambda: init(jax.random.key(0), _batch()).replace(key=()))()
  return jax.device_get(state)


def _after_steps(name, mode_name, num_devices, parts):
  """Parameters, state and metrics after steps of plain gradient descent."""
  mode = modes.make_mode(mode_name, num_devices=num_devices)
  state = mode.put_state(_initial(name).replace(key=jax.random.key(1)))
  step = mode.compile(
    functools.partial(
      train_step, micro_batches=parts, **_shared(METHODS[name]())
    )
  )
  # Whoever is next to whom may flip by rounding after a step.
  for _ in range(1 if hasattr(METHODS[name](), 'compare') else 3):
    state, metrics = step(state, mode.put_batch(_batch()))
  state = mode.get_state(state)
  return jax.device_get((state.params, state.method_state)), mode.fetch(metrics)


@functools.lru_cache
def _expected(name):
  return _after_steps(name, 'jit', 1, 1)


CASES = [
  ('clip', 'jit', 4, 2),
  ('siglip', 'pmap', 2, 2),
  ('simclr', 'jit', 1, 8),
  ('moco_v3', 'pmap', 2, 4),
  ('dino', 'pmap', 2, 2),
  ('beit', 'jit', 4, 2),
  ('supervised', 'pmap', 4, 2),
]
if FULL:
  CASES += [
    (name, mode, devices, parts)
    for name in METHODS
    for mode, devices, parts in (('jit', 2, 4), ('pmap', 2, 4))
  ]


@pytest.mark.parametrize(('name', 'mode', 'devices', 'parts'), CASES)
def test_steps_equal_those_of_the_whole_batch(name, mode, devices, parts):
  # Sums of float32 in another order.
  chex.assert_trees_all_close(
    _after_steps(name, mode, devices, parts),
    _expected(name),
    atol=1e-5,
    rtol=1e-5,
  )


def _trace(method, parts):
  micro_batches.value_and_grad(method, parts)  # most are refused here
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
  ('make', 'parts', 'message'),
  [
    (lambda: CLIP(**_towers(TinyEncoder())), 2, 'without BatchNorm'),
    (lambda: Rotation(encoder=TinyEncoder()), 2, 'without BatchNorm'),
    (lambda: SimCLR(encoder=TinyEncoder()), 2, 'without BatchNorm'),
    (lambda: MoCoV3(encoder=TinyEncoder()), 2, 'without BatchNorm'),
    (lambda: MoCo(encoder=_vit(), queue_size=16), 2, 'MoCo cannot .*GradCache'),
    (lambda: Jigsaw(encoder=TinyEncoder(), patch_size=4), 2, 'Jigsaw cannot'),
    (lambda: RelativePatch(encoder=TinyEncoder(), patch_size=4), 2, 'cannot'),
    (METHODS['clip'], 3, 'do not divide into 3 micro-batches'),
    (METHODS['rotation'], 3, 'do not divide into 3 micro-batches'),
  ],
)
def test_what_cannot_be_cut_is_a_user_error(make, parts, message):
  method = make()
  with pytest.raises(UserError, match=message):
    _trace(method, parts)
