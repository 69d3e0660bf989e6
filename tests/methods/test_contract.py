"""Every method x every property of the contract (`jaxssl.methods.base`)."""

import contextlib
import dataclasses
import functools
import math
import os

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxssl import models
from jaxssl.augment import geometry
from jaxssl.augment.crop_spec import CropSpec
from jaxssl.augment.view import Augment, View
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
from jaxssl.train.checkpoint import Checkpoints
from jaxssl.train.state import init_state
from jaxssl.train.step import train_step
from tests.tiny import TinyEncoder
from tests.tiny_tokenizer import tiny_tokenizer

BATCH, SIZE, STEPS = 16, 16, 4
SMALLEST = 64
# All that are compared with one device; two of them keep a run of all tests
# within minutes.
MODES = ['jit8', 'pmap2']
FULL = os.environ.get('FULL') == '1'
if FULL:
  MODES += ['jit2', 'fsdp4of8', 'pmap1', 'pmap8']
# One of each kind of state also with its state shared by all devices.
SHARED = ['moco', 'dino_conv', 'mae', 'clip']
# Slow to compile, and like another case: one mode is enough between times.
ONE_MODE = {
  'simclr_vit': 'pmap2',
  'dino_vit': 'pmap2',
  'siglip': 'pmap2',
  'beit': 'jit8',
  'dvae': 'jit8',
}


@dataclasses.dataclass(frozen=True)
class Case:
  """A small instance of a method and what must hold for it.

  Attributes:
    make: () -> method.
    initial_loss: what the loss is at the first step, from theory.
    tolerance: relative, because features at initialisation are not random.
    learning_rate: of SGD; small enough that rounding stays small.
    augment: makes the views.
  """

  make: object
  initial_loss: float
  tolerance: float
  learning_rate: float
  augment: Augment | None = None

  @property
  def views(self):
    return self.augment or AUGMENT

  @property
  def tx(self):
    return optax.sgd(self.learning_rate, momentum=0.9)


def _simclr(encoder):
  return SimCLR(
    encoder=encoder,
    head=models.SimCLRHead(num_layers=2, out_dim=16),
    temperature=1.0,
  )


def _vit():
  return models.make_encoder(
    'vit_ti4', dim=16, depth=2, num_heads=2, drop_path=0.2
  )


def _moco(num_layers=2):
  return MoCo(
    encoder=TinyEncoder(bn_groups=8),
    head=models.MoCoHead(num_layers=num_layers, out_dim=16),
    temperature=1.0,
    momentum=0.9,
    queue_size=48,
  )


def _moco_v3(encoder):
  head = models.MoCoV3Head(num_layers=2, hidden_dim=32, out_dim=16)
  return MoCoV3(encoder=encoder, head=head, temperature=1.0, momentum=0.9)


def _dino(encoder):
  # Wide, so that logits of random features are small and the loss is ln K.
  head = models.DINOHead(hidden_dim=32, bottleneck_dim=256, out_dim=64)
  return DINO(encoder=encoder, head=head)


def _mae():
  encoder = models.make_encoder(
    'vit_ti4', dim=32, depth=2, num_heads=2, position='sincos_mae'
  )
  return MAE(encoder=encoder, decoder_dim=16, decoder_depth=1, decoder_heads=2)


def _dvae():
  encoder = models.make_encoder(
    'dvae', width=8, blocks_per_group=1, vocab_size=16
  )
  return DVAE(encoder=encoder, decoder_init_width=8)


def _beit():
  encoder = models.make_encoder(
    'vit_ti4',
    dim=16,
    depth=2,
    num_heads=2,
    position='relative',
    layer_scale=0.1,
    drop_path=0.2,
    use_mask_token=True,
  )
  return BEiT(
    encoder=encoder, tokenizer=tiny_tokenizer(), num_masked=6, min_block=2
  )


def _relative_patch():
  return RelativePatch(
    encoder=TinyEncoder(),
    patch_size=4,
    gap=2,
    jitter=1,
    embed_dim=8,
    hidden_dim=16,
  )


def _jigsaw():
  return Jigsaw(
    encoder=TinyEncoder(),
    num_permutations=6,
    permutations_per_image=2,
    patch_size=4,
    channel_shift=0,
    embed_dim=8,
    hidden_dim=16,
  )


def _colorization():
  return Colorization(encoder=TinyEncoder(), decoder_dim=8)


def _text_tower():
  return models.make_text_encoder(
    'clip_512', vocab_size=32, length=6, dim=16, depth=1, num_heads=2
  )


def _clip():
  # Warm, so that the logits of random features are small and the loss is ln B.
  return CLIP(
    encoder=_vit(),
    text_encoder=_text_tower(),
    head=models.Projection(out_dim=8),
    temperature=1.0,
  )


def _siglip():
  return SigLIP(
    encoder=TinyEncoder(),
    text_encoder=_text_tower(),
    head=models.Projection(out_dim=8, use_bias=True),
    chunk=3,
    scale=1.0,
  )


VIEW = View(
  crop=CropSpec(size=SIZE, scale=(0.5, 1.0)),
  ops=(geometry.random_flip_left_right,),
)
SMALL_VIEW = View(crop=CropSpec(size=SIZE // 2, scale=(0.2, 0.5)))
AUGMENT = Augment(views=(VIEW, VIEW))
WITH_PIXELS = Augment(views=(VIEW,), keep_pixels=True)
MULTI_CROP = Augment(views=(VIEW, VIEW, SMALL_VIEW, SMALL_VIEW))

CASES = {
  'simclr_conv': Case(lambda: _simclr(TinyEncoder()), math.log(31), 0.15, 0.2),
  'simclr_vit': Case(lambda: _simclr(_vit()), math.log(31), 0.15, 0.02),
  'moco': Case(_moco, math.log(49), 0.25, 0.02),
  # Features of a random ViT hardly differ, which the head's BatchNorm blows up.
  'moco_v3': Case(
    lambda: _moco_v3(TinyEncoder()), 4 * math.log(16), 0.15, 0.01
  ),
  'dino_conv': Case(
    lambda: _dino(TinyEncoder()), math.log(64), 0.15, 0.1, MULTI_CROP
  ),
  # 48 values a patch, decoder width 16: 1 - 1/48 + 2 16 / (16 + 48).
  'mae': Case(_mae, 1.479, 0.15, 0.02, Augment(views=(VIEW,))),
  'dvae': Case(_dvae, 0.15, 0.5, 0.02, Augment(views=(VIEW,))),
  'beit': Case(_beit, math.log(16), 0.05, 0.1, WITH_PIXELS),
  'dino_vit': Case(lambda: _dino(_vit()), math.log(64), 0.15, 0.1, MULTI_CROP),
  'rotation': Case(
    lambda: Rotation(encoder=TinyEncoder()), math.log(4), 0.05, 0.05
  ),
  'supervised': Case(
    lambda: Supervised(encoder=TinyEncoder(), num_classes=4),
    math.log(4),
    0.01,
    0.05,
  ),
  'relative_patch': Case(_relative_patch, math.log(8), 0.05, 0.05),
  'jigsaw': Case(_jigsaw, math.log(6), 0.05, 0.05),
  'clip': Case(_clip, math.log(16), 0.15, 0.02, Augment(views=(VIEW,))),
  # 10 + 4.5e-5 (B - 1), and up to 1 for a cosine of the pairs.
  'siglip': Case(_siglip, 10.0, 0.1, 0.002, Augment(views=(VIEW,))),
  'colorization': Case(_colorization, math.log(313), 0.05, 0.05),
}
if FULL:
  CASES['moco_v1'] = Case(lambda: _moco(num_layers=1), math.log(49), 0.25, 0.02)
# Part of the state that targets are made with.
TARGETS = {
  'moco': 'key',
  'moco_v3': 'slow',
  'dino_conv': 'teacher',
  'beit': 'tokenizer',
}


def _batch():
  # Smooth pictures that differ, so that there is something to learn.
  waves = np.random.default_rng(0).uniform(0.1, 1.0, (BATCH, 1, 1, 3))
  grid = np.arange(SIZE)[None, :, None, None]
  pictures = 127 * (1 + np.sin(waves * (grid + grid.swapaxes(1, 2))))
  return {
    'image': pictures.astype(np.uint8),
    'label': np.arange(BATCH, dtype=np.int32) % 4,
    'text': np.random.default_rng(1).integers(1, 32, (BATCH, 6), np.int32),
  }


def _modes():
  return {
    'jit1': modes.make_mode('jit', num_devices=1),
    'jit2': modes.make_mode('jit', num_devices=2),
    'jit8': modes.make_mode('jit', num_devices=8),
    # The small arrays of these methods are cut too.
    'fsdp4of8': modes.Jit(modes.make_mesh(fsdp=4), smallest=SMALLEST),
    'fsdp8': modes.Jit(modes.make_mesh(fsdp=None), smallest=SMALLEST),
    'pmap1': modes.make_mode('pmap', num_devices=1),
    'pmap2': modes.make_mode('pmap', num_devices=2),
    'pmap8': modes.make_mode('pmap', num_devices=8),
  }


@functools.lru_cache
def _initial(case):
  init = functools.partial(
    init_state,
    method=CASES[case].make(),
    augment=CASES[case].views,
    tx=CASES[case].tx,
  )
  return jax.device_get(
    jax.jit(lambda: without_key(init(jax.random.key(0), _batch())))()
  )


def without_key(state):
  """Keys cannot leave the device as NumPy; the tests use one fixed key."""
  return state.replace(key=())


@functools.lru_cache
def _step(case, mode_name):
  """The mode and the step, compiled once."""
  mode = _modes()[mode_name]
  # Raises when the step is traced, and so compiled, a second time.
  chex.clear_trace_counter()
  step = mode.compile(
    functools.partial(
      chex.assert_max_traces(train_step, n=1),
      method=CASES[case].make(),
      augment=CASES[case].views,
      tx=CASES[case].tx,
    )
  )
  return mode, step


def _go_on(case, mode_name, state, steps):
  """Losses of some steps from a state, and the state after them."""
  mode, step = _step(case, mode_name)
  state = mode.put_state(state)
  batch, losses = mode.put_batch(_batch()), []
  for _ in range(steps):
    state, metrics = step(state, batch)
    losses.append(float(mode.fetch(metrics)['loss']))
  return np.array(losses), mode.get_state(state)


@functools.lru_cache
def _run(case, mode_name):
  """Losses, and the final state on the host."""
  start = _initial(case).replace(key=jax.random.key(7))
  losses, state = _go_on(case, mode_name, start, STEPS)
  return losses, jax.device_get(without_key(state))


@functools.lru_cache
def _value_and_grad(case):
  method = CASES[case].make()

  @jax.jit
  def fn(params, method_state, batch):
    return jax.value_and_grad(method.loss, has_aux=True)(
      params,
      method_state,
      batch,
      key=jax.random.key(2),
      step=jnp.zeros((), jnp.int32),
    )

  return fn


def _loss(case, state, batch):
  (loss, _), _ = _value_and_grad(case)(state.params, state.method_state, batch)
  return float(loss)


def _descend(case, state, batch):
  """Parameters after a step of length 1e-3 against the gradient."""
  _, grads = _value_and_grad(case)(state.params, state.method_state, batch)
  scale = 1e-3 / optax.global_norm(grads)
  return jax.tree.map(lambda p, g: p - scale * g, state.params, grads)


@pytest.mark.parametrize('case', CASES)
class TestContract:
  def test_everything_stays_finite(self, case):
    losses, state = _run(case, 'jit1')
    chex.assert_tree_all_finite((losses, state))

  def test_steps_against_the_gradient_lower_the_loss(self, case):
    batch = CASES[case].views(jax.random.key(1), _batch())
    state = _initial(case)
    before = _loss(case, state, batch)
    for _ in range(3):
      state = state.replace(params=_descend(case, state, batch))
    assert _loss(case, state, batch) < before

  def test_initial_loss_is_what_theory_says(self, case):
    losses, _ = _run(case, 'jit1')
    np.testing.assert_allclose(
      losses[0], CASES[case].initial_loss, rtol=CASES[case].tolerance
    )

  # Sums over rows are taken in another order on more devices, which moves
  # float32 results by about 1e-7 a step; the steps amplify it.
  @pytest.mark.parametrize('mode', [*MODES, 'fsdp8'])
  def test_mode_and_device_count_do_not_matter(self, case, mode):
    if not FULL and mode == 'fsdp8' and case not in SHARED:
      pytest.skip(f'run for {", ".join(SHARED)}; FULL=1 runs all')
    if not FULL and mode in MODES and mode != ONE_MODE.get(case, mode):
      pytest.skip(f'{case} is run with {ONE_MODE[case]}; FULL=1 runs all')
    losses, state = _run(case, 'jit1')
    other_losses, other_state = _run(case, mode)
    np.testing.assert_allclose(other_losses, losses, atol=2e-5)
    chex.assert_trees_all_close(
      (other_state.params, other_state.method_state),
      (state.params, state.method_state),
      atol=2e-5,
      rtol=2e-5,
    )

  def test_saved_and_resumed_equals_straight(self, case, tmp_path):
    start = _initial(case).replace(key=jax.random.key(7))
    _, half = _go_on(case, 'jit1', start, STEPS // 2)
    with contextlib.closing(Checkpoints(tmp_path)) as checkpoints:
      checkpoints.save(STEPS // 2, half, meta={})
      checkpoints.wait()
      restored = checkpoints.restore(jax.eval_shape(lambda: half)).state
    _, end = _go_on(case, 'jit1', restored, STEPS - STEPS // 2)
    _, straight = _run(case, 'jit1')
    chex.assert_trees_all_equal(jax.device_get(without_key(end)), straight)

  def test_shapes_and_dtypes_are_stable(self, case):
    _, state = _run(case, 'jit1')
    chex.assert_trees_all_equal_shapes_and_dtypes(state, _initial(case))

  def test_parameters_are_float32(self, case):
    for leaf in jax.tree.leaves(_initial(case).params):
      assert leaf.dtype == jnp.float32

  def test_loss_has_no_side_effects(self, case):
    batch = CASES[case].views(jax.random.key(1), _batch())
    state = _initial(case)
    assert _loss(case, state, batch) == _loss(case, state, batch)

  def test_export_runs_through_the_encoder(self, case):
    method, state = CASES[case].make(), _initial(case)
    towers = method.export(state.params, state.method_state)
    images = jnp.zeros((2, SIZE, SIZE, 3))
    features, out = jax.jit(method.encoder.apply)(towers['encoder'], images)
    chex.assert_rank(features, 2)
    assert out
    chex.assert_tree_all_finite(features)


@pytest.mark.parametrize('case', TARGETS)
def test_targets_have_no_gradient(case):
  method, state, name = CASES[case].make(), _initial(case), TARGETS[case]
  batch = CASES[case].views(jax.random.key(1), _batch())

  @jax.jit
  @jax.grad
  def gradient(target):
    loss, _ = method.loss(
      state.params,
      {**state.method_state, name: target},
      batch,
      key=jax.random.key(2),
      step=jnp.zeros((), jnp.int32),
    )
    return loss

  target = state.method_state[name]
  chex.assert_trees_all_equal(
    gradient(target), jax.tree.map(np.zeros_like, target)
  )
