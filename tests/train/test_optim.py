import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxssl.errors import UserError
from jaxssl.ops import schedules
from jaxssl.train import optim, treatments

STEPS = 20
RATES = np.linspace(0.5, 0.05, STEPS)


def _params():
  random = np.random.default_rng(0)
  return {
    'dense': {
      'kernel': random.normal(size=(4, 3)).astype(np.float32),
      'bias': random.normal(size=3).astype(np.float32),
    },
    'last': {'kernel': random.normal(size=(3, 2)).astype(np.float32)},
  }


def _grads(steps=STEPS):
  random = np.random.default_rng(1)
  return jax.tree.map(
    lambda p: random.normal(size=(steps, *p.shape)).astype(np.float32),
    _params(),
  )


def _rate(step):
  """Changes at every step; most differences show only then."""
  return jnp.asarray(RATES, jnp.float32)[step]


@functools.partial(jax.jit, static_argnums=0)
def _train(tx, params, grads):
  """All steps in one loop, which a state of changing structure would refuse."""

  def step(carry, gradient):
    params, state = carry
    updates, state = tx.update(gradient, state, params)
    return (optax.apply_updates(params, updates), state), None

  return jax.lax.scan(step, (params, tx.init(params)), grads)[0][0]


def _ours(params=None, grads=None, **kwargs):
  tx = optim.make_optimizer(learning_rate=_rate, **kwargs)
  params = _params() if params is None else params
  return _train(tx, params, _grads() if grads is None else grads)


def _by_tensor(update, params=None, grads=None):
  """Runs `update(p, g, buffer, lr) -> (p, buffer)` in float64, each tensor."""
  params = _params() if params is None else params
  grads = _grads() if grads is None else grads

  def train(p, gradients):
    p, buffer = p.astype(np.float64), np.zeros(p.shape)
    for rate, g in zip(RATES, gradients.astype(np.float64), strict=False):
      p, buffer = update(p, g, buffer, rate)
    return p

  return jax.tree.map(train, params, grads)


# float32 against float64, or PyTorch's float32, after 20 steps of size one.
assert_close = functools.partial(
  chex.assert_trees_all_close, rtol=1e-5, atol=1e-5
)


def _torch(make, freeze_steps=0, grads=None):
  """Trains with PyTorch; `last` has no gradient in the first steps."""
  import torch

  flat, treedef = jax.tree.flatten(_params())
  gradients = jax.tree.leaves(_grads() if grads is None else grads)
  tensors = [torch.tensor(p, requires_grad=True) for p in flat]
  optimizer = make(torch.optim, tensors)
  for k in range(STEPS):
    for tensor, g in zip(tensors, gradients, strict=True):
      tensor.grad = torch.tensor(g[k])
    if k < freeze_steps:
      tensors[-1].grad = None
    optimizer.param_groups[0]['lr'] = RATES[k]
    optimizer.step()
  return jax.tree.unflatten(treedef, [t.detach().numpy() for t in tensors])


@pytest.mark.reference
class TestPyTorch:
  @pytest.mark.parametrize('nesterov', [False, True])
  def test_sgd(self, nesterov):
    options = {'momentum': 0.9, 'weight_decay': 0.01, 'nesterov': nesterov}
    expected = _torch(lambda o, p: o.SGD(p, lr=1.0, **options))
    assert_close(_ours(name='sgd', **options), expected)

  def test_adamw(self):
    expected = _torch(
      lambda o, p: o.AdamW(p, lr=1.0, betas=(0.9, 0.95), weight_decay=0.1)
    )
    assert_close(_ours(name='adamw', b2=0.95, weight_decay=0.1), expected)

  @pytest.mark.parametrize('name', ['sgd', 'adamw'])
  def test_frozen_parameters_are_skipped(self, name):
    def make(o, p):
      if name == 'sgd':
        return o.SGD(p, lr=1.0, momentum=0.9, weight_decay=0.1)
      return o.AdamW(p, lr=1.0, weight_decay=0.1)

    ours = _ours(
      name=name,
      weight_decay=0.1,
      rules=[{'match': '^last/', 'freeze_steps': 7}],
    )
    assert_close(ours, _torch(make, freeze_steps=7))

  def test_clip_norm_is_clip_grad_norm(self):
    import torch

    tensors = [
      torch.nn.Parameter(torch.zeros(p.shape))
      for p in jax.tree.leaves(_params())
    ]
    gradients = jax.tree.map(lambda g: g[0], _grads())
    for tensor, g in zip(tensors, jax.tree.leaves(gradients), strict=True):
      tensor.grad = torch.tensor(g)
    torch.nn.utils.clip_grad_norm_(tensors, 0.5)
    moved = _ours(
      params=jax.tree.map(np.zeros_like, _params()),
      grads=jax.tree.map(lambda g: g[:1], _grads()),
      name='sgd',
      clip_norm=0.5,
    )
    expected = [-RATES[0] * t.grad.numpy() for t in tensors]
    # PyTorch divides by the norm plus 1e-6.
    chex.assert_trees_all_close(jax.tree.leaves(moved), expected, rtol=1e-5)


def _ratio(p, g, eta=0.001):
  p_norm, g_norm = np.linalg.norm(p), np.linalg.norm(g)
  return eta * p_norm / g_norm if p_norm > 0 and g_norm > 0 else 1.0


def _lars_update(p, g, buffer, rate):
  """MoCo v3's, decay 0.01: the rate outside the buffer."""
  if p.ndim > 1:
    g = g + 0.01 * p
    g = g * _ratio(p, g)
  buffer = 0.9 * buffer + g
  return p - rate * buffer, buffer


def _lars_simclr_update(p, g, buffer, rate):
  """SimCLR's, decay 0.01: the rate inside the buffer."""
  if p.ndim > 1:
    g = g + 0.01 * p
    g = g * _ratio(p, g)
  buffer = 0.9 * buffer + rate * g
  return p - buffer, buffer


def _larc_update(p, g, buffer, rate):
  """Apex's without clipping, decay 0.01, for every parameter."""
  p_norm, g_norm = np.linalg.norm(p), np.linalg.norm(g)
  if p_norm != 0 and g_norm != 0:
    g = 0.001 * p_norm / (g_norm + 0.01 * p_norm + 1e-8) * (g + 0.01 * p)
  buffer = 0.9 * buffer + g
  return p - rate * buffer, buffer


def _clipped_update(p, g, buffer, rate):
  """solo-learn's LARS with `clip_lr`, decay 0.01, eta 0.2."""
  p_norm, g_norm = np.linalg.norm(p), np.linalg.norm(g)
  if p.ndim > 1 and p_norm != 0 and g_norm != 0:
    ratio = 0.2 * p_norm / (g_norm + 0.01 * p_norm + 1e-8)
    g = min(ratio / rate, 1) * (g + 0.01 * p)
  buffer = 0.9 * buffer + g
  return p - rate * buffer, buffer


LARS = {
  'lars': (_lars_update, {'exclude': 'ndim<=1'}),
  'lars_simclr': (_lars_simclr_update, {'exclude': 'ndim<=1'}),
  'larc': (_larc_update, {}),
}


class TestLars:
  @pytest.mark.parametrize('name', LARS)
  def test_equals_the_authors_formula(self, name):
    update, options = LARS[name]
    ours = _ours(name=name, weight_decay=0.01, **options)
    assert_close(ours, _by_tensor(update))

  @pytest.mark.parametrize('name', LARS)
  def test_norm_of_zero(self, name):
    update, options = LARS[name]
    # One tensor starts at zero, another has no gradient for some steps.
    params, grads = _params(), _grads()
    params['dense']['kernel'] *= 0
    grads['last']['kernel'][:5] = 0
    ours = _ours(params, grads, name=name, weight_decay=0.01, **options)
    assert_close(ours, _by_tensor(update, params, grads), rtol=1e-4)

  def test_solo_learns_formula(self):
    options = {'name': 'larc', 'exclude': 'ndim<=1', 'weight_decay': 0.01}
    ours = _ours(**options, trust_coefficient=0.2, clip=True)
    assert_close(ours, _by_tensor(_clipped_update))
    # Some steps are clipped, and some are not.
    never = _ours(**options, trust_coefficient=0.2)
    always = _ours(**options, trust_coefficient=1e6, clip=True)
    for other in (never, always):
      kernels = ours['last']['kernel'], other['last']['kernel']
      assert not np.allclose(*kernels, rtol=1e-2)

  def test_a_rate_of_zero_moves_nothing(self):
    start = _params()
    tx = optim.make_optimizer(
      name='larc', learning_rate=lambda step: 0.0 * step, clip=True
    )
    chex.assert_trees_all_close(_train(tx, _params(), _grads()), start, rtol=0)

  def test_the_orders_differ_only_while_the_rate_changes(self):
    both = ('lars', 'lars_simclr')
    moving = [_ours(name=name)['last']['kernel'] for name in both]
    constant = [
      _train(
        optim.make_optimizer(name=name, learning_rate=lambda step: 0.3),
        _params(),
        _grads(),
      )['last']['kernel']
      for name in both
    ]
    np.testing.assert_allclose(*constant, rtol=1e-6)
    assert np.abs(moving[0] - moving[1]).max() > 1e-4

  def test_lars_simclr_is_optax_lars(self):
    matrices = jax.tree.map(lambda p: p.ndim > 1, _params())
    theirs = optax.lars(
      _rate, 0.01, matrices, trust_ratio_mask=matrices, momentum=0.9
    )
    ours = _ours(name='lars_simclr', weight_decay=0.01, exclude='ndim<=1')
    assert_close(ours, _train(theirs, _params(), _grads()))

  def test_trust_false_leaves_plain_momentum(self):
    rules = [{'match': 'dense', 'trust': False}]
    ours = _ours(name='lars', rules=rules)['dense']
    assert_close(ours, _ours(name='sgd')['dense'])


class TestFreezing:
  def test_forever_does_not_move(self):
    rules = [{'match': '^last/', 'freeze_steps': treatments.FOREVER}]
    ours = _ours(name='adamw', weight_decay=0.1, rules=rules)
    chex.assert_trees_all_equal(ours['last'], _params()['last'])
    assert np.abs(ours['dense']['kernel'] - _params()['dense']['kernel']).all()

  def test_schedules_go_on_while_it_is_frozen(self):
    # With plain SGD the first step that counts has the rate of that step.
    rules = [{'match': '^last/', 'freeze_steps': 3}]
    grads = jax.tree.map(lambda g: g[:4], _grads())
    ours = _ours(grads=grads, name='sgd', momentum=0.0, rules=rules)
    expected = (
      _params()['last']['kernel'] - RATES[3] * (grads['last']['kernel'][3])
    )
    np.testing.assert_allclose(ours['last']['kernel'], expected, rtol=1e-5)


class TestRules:
  def test_factors_scale_rate_and_decay(self):
    rules = [{'match': 'kernel', 'learning_rate': 0.5, 'weight_decay': 2.0}]
    ours = _ours(name='sgd', weight_decay=0.1, momentum=0.0, rules=rules)
    expected = _by_tensor(lambda p, g, m, lr: (p - 0.5 * lr * (g + 0.2 * p), m))
    assert_close(ours['last'], expected['last'])

  @pytest.mark.parametrize(
    ('rule', 'message'),
    [
      ({'match': 'a', 'learning_rat': 1}, "did you mean 'learning_rate'"),
      ({'learning_rate': 1.0}, "needs a 'match'"),
      ({'match': '('}, 'no regular expression'),
      ({'match': 'a', 'freeze_steps': -5}, 'or -1 for always'),
      ({'match': 'a', 'freeze_steps': 'x'}, "freeze_steps is 'x'; it must"),
      ({'match': 'a', 'freeze_steps': None}, 'freeze_steps is None; it must'),
      ({'match': 'a', 'learning_rate': 'x'}, "learning_rate is 'x'; it must"),
      ({'match': 'a', 'weight_decay': float('nan')}, 'weight_decay is nan'),
      ({'match': 'a', 'trust': 'no'}, "trust is 'no'; it must be True or"),
      ({'match': 5}, 'match is 5; it must be a regular expression'),
    ],
  )
  def test_wrong_rules_are_told(self, rule, message):
    with pytest.raises(UserError, match=message):
      _ours(name='sgd', rules=[rule])

  @pytest.mark.parametrize(
    ('options', 'message'),
    [
      ({'name': 'adam'}, "unknown optimizer 'adam'; did you mean 'adamw'"),
      ({'name': 'sgd', 'exclude': 'ndim<1'}, "did you mean 'ndim<=1'"),
    ],
  )
  def test_unknown_names_offer_the_closest(self, options, message):
    with pytest.raises(UserError, match=message):
      _ours(**options)


class TestClipping:
  def test_each_tensor_is_clipped_as_dinos(self):
    grads = jax.tree.map(lambda g: g[0], _grads())
    grads['last']['kernel'] *= 0.01  # below the limit: nearly untouched

    def clip(g):
      return g * min(1.0, 0.5 / (np.linalg.norm(g) + 1e-6))

    clipped, _ = optim.clip_by_tensor_norm(0.5).update(
      grads, optax.EmptyState()
    )
    chex.assert_trees_all_close(clipped, jax.tree.map(clip, grads), rtol=1e-6)

  def test_zero_gradient_stays_finite(self):
    tx = optim.clip_by_tensor_norm(0.5)
    clipped, _ = tx.update({'a': jnp.zeros(3)}, optax.EmptyState())
    np.testing.assert_array_equal(clipped['a'], 0.0)

  def test_both_clips_come_before_the_algorithm(self):
    ours = _ours(name='sgd', clip_tensor_norm=0.1, momentum=0.0)
    expected = _by_tensor(
      lambda p, g, m, lr: (
        p - lr * g * min(1.0, 0.1 / (np.linalg.norm(g) + 1e-6)),
        m,
      )
    )
    assert_close(ours, expected)


def test_weight_decay_follows_its_schedule():
  decay = schedules.cosine(start=0.04, end=0.4, num_steps=STEPS)
  table = iter(np.tile([float(decay(k)) for k in range(STEPS)], 3))
  ours = _ours(name='sgd', weight_decay=decay, momentum=0.0)
  expected = _by_tensor(lambda p, g, m, lr: (p - lr * (g + next(table) * p), m))
  assert_close(ours, expected)


def test_state_keeps_structure_shapes_and_types():
  tx = optim.make_optimizer(
    name='adamw',
    learning_rate=_rate,
    exclude='ndim<=1',
    clip_norm=1.0,
    rules=[{'match': '^last/', 'freeze_steps': 2}],
  )
  state = jax.eval_shape(tx.init, _params())
  _, after = jax.eval_shape(tx.update, _params(), state, _params())
  chex.assert_trees_all_equal_structs(after, state)
  chex.assert_trees_all_equal_shapes_and_dtypes(after, state)
