"""Every method x every property of the contract (`jaxssl.methods.base`)."""

import contextlib
import dataclasses
import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxssl.methods import METHODS
from jaxssl.parallel import modes
from jaxssl.train import optim
from jaxssl.train.checkpoint import Checkpoints
from jaxssl.train.state import init_state
from jaxssl.train.step import train_step
from tests import tiny_methods
from tests.tiny_methods import SIZE, smooth_batch

STEPS = 4
SMALLEST = 64
# All that are compared with one device; some of them keep a run of all tests
# within minutes, and the others are run with --full.
MODES = ['jit8', 'pmap2', 'fsdp8', 'jit2', 'fsdp4of8', 'pmap1', 'pmap8']
USUAL = MODES[:2]
# One of each kind of state with its state, not only the batch, spread over all
# devices: more than jit8.
SHARED = ['moco_v2', 'dino', 'mae', 'clip']
# Slow to compile, and like another case: one mode is enough between times.
ONE_MODE = {
  'simclr_vit': 'pmap2',
  'dino_vit': 'pmap2',
  'siglip': 'pmap2',
  'siglip2': 'jit8',
  'coca': 'jit8',
  'beit': 'jit8',
  'ibot': 'jit8',
  'dinov3': 'pmap2',
  'dvae': 'jit8',
}


@dataclasses.dataclass(frozen=True)
class Case:
  """The tiny instance of a method, and what must hold for it.

  Attributes:
    name: of the method.
    on_vit: around a vision transformer instead of the row's encoder.
    rate: learning rate of SGD instead of the row's.
  """

  name: str
  on_vit: bool = False
  rate: float | None = None

  def make(self):
    vit = tiny_methods.vit(self.name, drop_path=0.2) if self.on_vit else None
    return tiny_methods.make(self.name, vit)

  @property
  def facts(self):
    return METHODS[self.name].tiny

  @property
  def views(self):
    return tiny_methods.augment(self.name)

  @property
  def tx(self):
    return optax.sgd(self.rate or self.facts.learning_rate, momentum=0.9)


CASES = {name: Case(name) for name in METHODS} | {
  'simclr_vit': Case('simclr', on_vit=True, rate=0.02),
  'dino_vit': Case('dino', on_vit=True),
}
# MoCo v2 with another head.
FULL_CASES = {'moco_v1'}
# Parts of the state that targets are made with.
TARGETS = ('slow', 'anchor', 'tokenizer')


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
  init = _init(case)
  return jax.device_get(
    jax.jit(lambda: without_key(init(jax.random.key(0), smooth_batch())))()
  )


def _init(case):
  return functools.partial(
    init_state,
    method=CASES[case].make(),
    augment=CASES[case].views,
    tx=CASES[case].tx,
  )


def _encoder(case, state):
  towers = CASES[case].make().export(state.params, state.method_state)
  return towers['encoder']


def _trained(case):
  """Variables as those of the encoder, but others."""
  return jax.tree.map(
    lambda x: x + x.std() + 0.01, _encoder(case, _initial(case))
  )


@functools.lru_cache
def _started(case, mode_name):
  """The state of step zero with `_trained` in it, on the host."""
  mode = _modes()[mode_name]
  towers = {'encoder': _trained(case)}
  state = mode.init(_init(case), jax.random.key(0), smooth_batch(), towers)
  return jax.device_get(without_key(mode.get_state(state)))


def _in_encoders(state):
  """Leaves of a state by name, those of encoders and the others."""
  leaves, _ = jax.tree_util.tree_flatten_with_path(
    {'params': state.params, 'state': state.method_state}
  )
  named = {'/'.join(str(e.key) for e in path): leaf for path, leaf in leaves}
  # Of the encoder alone where there are none of anything else.
  stats = 'state/stats/batch_stats/'
  of_parts = any(
    n.startswith(stats) and ('encoder/' in n or 'head/' in n) for n in named
  )

  def is_inside(name):
    alone = name.startswith(stats) and not of_parts
    return ('encoder/' in name or alone) and '/text/' not in name

  inside = {n: leaf for n, leaf in named.items() if is_inside(n)}
  return inside, {n: leaf for n, leaf in named.items() if n not in inside}


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
  batch, losses = mode.put_batch(smooth_batch()), []
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


def _loss_and_direction(case, params):
  """The loss at some parameters, and the unit vector against the gradient.

  The first step of SGD goes there. It always starts from the state of step
  zero, so that views, and whatever else is random, are the same.
  """
  start = _initial(case).replace(key=jax.random.key(7), params=params)
  losses, end = _go_on(case, 'jit1', start, 1)
  move = jax.tree.map(np.subtract, jax.device_get(end.params), params)
  # NumPy's arrays, as the step takes the arrays that it is given for its own.
  # Not optax's norm, which compiles a few programs for every shape.
  length = np.sqrt(sum(np.square(m).sum() for m in jax.tree.leaves(move)))
  return losses[0], jax.tree.map(lambda m: m / np.float32(length), move)


def _mark(case, *mode, full):
  marks = [pytest.mark.full] if full or case in FULL_CASES else []
  return pytest.param(case, *mode, marks=marks)


@pytest.mark.slow
@pytest.mark.parametrize(
  ('case', 'mode'),
  [
    _mark(case, mode, full=case not in SHARED)
    for case in CASES
    for mode in ('jit8', 'fsdp8', 'pmap8')
    if METHODS[CASES[case].name].starts_trained
  ],
)
def test_trained_weights_are_the_same_on_any_devices(case, mode):
  chex.assert_trees_all_equal(
    _encoder(case, _started(case, mode)), _trained(case)
  )


def _is_usual(case, mode):
  if mode in ('jit8', 'fsdp8') and case in SHARED:
    return mode == 'fsdp8'
  return mode in USUAL and mode == ONE_MODE.get(case, mode)


@pytest.mark.slow
@pytest.mark.parametrize(
  ('case', 'mode'),
  [
    _mark(case, mode, full=not _is_usual(case, mode))
    for case in CASES
    for mode in MODES
  ],
)
def test_mode_and_device_count_do_not_matter(case, mode):
  # Sums over rows are taken in another order on more devices, which moves
  # float32 results by about 1e-7 per step; the steps amplify it.
  losses, state = _run(case, 'jit1')
  other_losses, other_state = _run(case, mode)
  np.testing.assert_allclose(other_losses, losses, atol=2e-5)
  chex.assert_trees_all_close(
    (other_state.params, other_state.method_state),
    (state.params, state.method_state),
    atol=2e-5,
    rtol=2e-5,
  )


@pytest.mark.parametrize('case', [_mark(case, full=False) for case in CASES])
class TestContract:
  def test_everything_stays_finite(self, case):
    losses, state = _run(case, 'jit1')
    chex.assert_tree_all_finite((losses, state))

  def test_steps_against_the_gradient_lower_the_loss(self, case):
    params = _initial(case).params
    before, _ = _loss_and_direction(case, params)
    for _ in range(3):
      _, direction = _loss_and_direction(case, params)
      params = jax.tree.map(lambda p, d: p + 1e-3 * d, params, direction)
    after, _ = _loss_and_direction(case, params)
    assert after < before

  def test_initial_loss_is_what_theory_says(self, case):
    losses, _ = _run(case, 'jit1')
    facts = CASES[case].facts
    np.testing.assert_allclose(
      losses[0],
      facts.initial_loss,
      rtol=facts.tolerance,
      # No share of 0.
      atol=0 if facts.initial_loss else facts.tolerance,
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

  def test_starts_from_a_trained_encoder(self, case):
    if not METHODS[CASES[case].name].starts_trained:
      pytest.skip('its encoder is no use alone')
    state, trained = _started(case, 'jit1'), _trained(case)
    chex.assert_trees_all_equal(_encoder(case, state), trained)
    # The slow network and an anchor too, and nothing else.
    inside, outside = _in_encoders(state)
    leaves = [leaf.tobytes() for leaf in jax.tree.leaves(trained)]
    assert {leaf.tobytes() for leaf in inside.values()} == set(leaves)
    copies = 1 + len(state.method_state.keys() & {'slow', 'anchor'})
    assert len(inside) == copies * len(leaves)
    _, drawn = _in_encoders(_initial(case))
    chex.assert_trees_all_equal(outside, drawn)

  @pytest.mark.slow
  def test_a_frozen_encoder_stays_to_the_bit(self, case):
    if not METHODS[CASES[case].name].starts_trained:
      pytest.skip('its encoder is no use alone')
    rate = CASES[case].rate or CASES[case].facts.learning_rate
    tx = optim.make_optimizer(
      name='adamw',
      learning_rate=lambda step: rate,
      weight_decay=0.1,
      freeze_steps=2,
    )
    step = jax.jit(
      functools.partial(
        train_step,
        method=CASES[case].make(),
        augment=CASES[case].views,
        tx=tx,
        freeze_steps=2,
      )
    )
    start = _started(case, 'jit1').replace(key=jax.random.key(7))
    start = start.replace(opt_state=tx.init(start.params))
    first, _ = step(start, smooth_batch())
    frozen, _ = step(first, smooth_batch())
    free, _ = step(frozen, smooth_batch())
    inside, _ = _in_encoders(start)
    chex.assert_trees_all_equal(_in_encoders(frozen)[0], inside)
    after, _ = _in_encoders(free)
    assert any(np.any(after[name] != inside[name]) for name in inside)
    # What stands behind it learns meanwhile.
    assert any(
      np.any(value != _in_encoders(first)[1][name])
      for name, value in _in_encoders(frozen)[1].items()
      if name.startswith('params/')
    )

  def test_shapes_and_dtypes_are_stable(self, case):
    _, state = _run(case, 'jit1')
    chex.assert_trees_all_equal_shapes_and_dtypes(state, _initial(case))

  def test_parameters_are_float32(self, case):
    for leaf in jax.tree.leaves(_initial(case).params):
      assert leaf.dtype == jnp.float32

  def test_loss_has_no_side_effects(self, case):
    params = _initial(case).params
    first, second = (_loss_and_direction(case, params) for _ in range(2))
    chex.assert_trees_all_equal(first, second)

  def test_export_runs_through_the_encoder(self, case):
    method, state = CASES[case].make(), _initial(case)
    towers = method.export(state.params, state.method_state)
    images = jnp.zeros((2, SIZE, SIZE, 3))
    features, out = jax.jit(method.encoder.apply)(towers['encoder'], images)
    chex.assert_rank(features, 2)
    assert out
    chex.assert_tree_all_finite(features)

  def test_targets_have_no_gradient(self, case):
    method, state = CASES[case].make(), _initial(case)
    targets = {k: v for k, v in state.method_state.items() if k in TARGETS}
    if not targets:
      pytest.skip('no part of the state makes targets')

    @jax.jit
    @jax.grad
    def gradient(targets):
      batch = CASES[case].views(jax.random.key(1), smooth_batch())
      loss, _ = method.loss(
        state.params,
        {**state.method_state, **targets},
        batch,
        key=jax.random.key(2),
        step=jnp.zeros((), jnp.int32),
      )
      return loss

    chex.assert_trees_all_equal(
      gradient(targets), jax.tree.map(np.zeros_like, targets)
    )
