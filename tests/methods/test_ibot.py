import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import models
from jaxssl.errors import UserError
from jaxssl.methods import IBOT

ROWS, PROTOTYPES = 4, 10
SIZES = (16, 16, 8)


def make_encoder(**changes):
  options = {'dim': 16, 'depth': 1, 'num_heads': 2, 'use_mask_token': True}
  return models.make_encoder('vit_ti4', **options | changes)


def _method(**fields):
  head = models.DINOHead(
    num_layers=2, hidden_dim=12, bottleneck_dim=6, out_dim=PROTOTYPES
  )
  return IBOT(**{'encoder': make_encoder(), 'head': head, **fields})


def make_views(sizes=SIZES):
  keys = jax.random.split(jax.random.key(0), len(sizes))
  return [
    jax.random.normal(key, (ROWS, size, size, 3))
    for key, size in zip(keys, sizes, strict=True)
  ]


@functools.lru_cache
def _initial():
  """Parameters, and a state as after some steps."""
  method = _method()
  params, state = jax.jit(method.init)(
    jax.random.key(0), {'views': make_views()}
  )
  draws = np.random.default_rng(0)
  slow = jax.tree.map(
    lambda p: p + 0.05 * draws.normal(size=p.shape).astype(np.float32), params
  )
  centers = {
    name: draws.normal(size=(1, PROTOTYPES)).astype(np.float32) / 10
    for name in ('center', 'patch_center')
  }
  assert state.keys() == {'slow', *centers}
  return params, {'slow': slow, **centers}


@functools.lru_cache
def _loss():
  """Loss and `Aux` of the first step."""
  method = _method(patch_temperature=0.06, patch_weight=2.0, momentum=0.75)
  return jax.jit(method.loss)(
    *_initial(),
    {'views': make_views()},
    key=jax.random.key(1),
    step=jnp.zeros((), jnp.int32),
  )


@functools.lru_cache
def _masks():
  """Those that `_loss` draws, bool [2, ROWS, 16]."""
  keys = jax.vmap(lambda row: jax.random.fold_in(jax.random.key(1), row))(
    jnp.arange(ROWS)
  )
  keys = jax.vmap(lambda key: jax.random.fold_in(key, 0))(keys)
  return np.array(jax.jit(_method().draw_masks)(keys, make_views()[:2]))


def _logits(params, view, mask=None):
  """Of a view and of all its patches, in float64."""
  method = _method()
  options = {} if mask is None else {'mask': jnp.asarray(mask)}
  features, out = method.encoder.apply(
    {'params': params['encoder']}, view, **options
  )
  return [
    np.array(
      method.head.apply({'params': params['head']}, x, train=True), float
    )
    for x in (features, out['patches'])
  ]


def _log_softmax(x):
  x = x - x.max(-1, keepdims=True)
  return x - np.log(np.exp(x).sum(-1, keepdims=True))


def _softmax(x):
  return np.exp(_log_softmax(x))


def _entropies(targets, logits):
  return -(targets * _log_softmax(logits / 0.1)).sum(-1)


def test_loss_is_that_of_the_authors_over_all_patches():
  """The authors' loop: all patches of a view, and those not hidden count 0."""
  (params, state), views, masks = _initial(), make_views(), _masks()
  assert masks.any()
  assert not masks.any(-1).all()
  student = [
    _logits(params, view, masks[i] if i < 2 else None)
    for i, view in enumerate(views)
  ]
  teacher = [_logits(state['slow'], view) for view in views[:2]]
  pairs, patches = [], []
  for i, (t, t_patches) in enumerate(teacher):
    target = _softmax((t - state['center']) / 0.04)
    for v, (s, s_patches) in enumerate(student):
      if v != i:
        pairs.append(_entropies(target, s).mean())
        continue
      target_patches = _softmax((t_patches - state['patch_center']) / 0.06)
      each = _entropies(target_patches, s_patches) * masks[i]
      patches.append((each.sum(1) / np.maximum(masks[i].sum(1), 1)).mean())
  loss, aux = _loss()
  # float32 against float64; logits are divided by 0.04 and 0.1.
  metrics = aux.metrics
  np.testing.assert_allclose(metrics['class_loss'], np.mean(pairs), rtol=1e-4)
  np.testing.assert_allclose(metrics['patch_loss'], np.mean(patches), rtol=1e-4)
  np.testing.assert_allclose(
    loss, np.mean(pairs) + 2 * np.mean(patches), rtol=1e-4
  )
  np.testing.assert_allclose(metrics['masked_share'], masks.mean(), rtol=1e-6)
  # Centres are raw means, that of patches over those not hidden too.
  for name, index in (('center', 0), ('patch_center', 1)):
    logits = np.stack([each[index] for each in teacher])
    mean = logits.reshape(-1, PROTOTYPES).mean(0)
    np.testing.assert_allclose(aux.carry[name][0], mean, atol=1e-6)


def test_teacher_and_centers_follow():
  params, state = _initial()
  method = _method(momentum=0.75)
  carry = _loss()[1].carry
  _, new = method.update(params, state, carry, step=jnp.zeros((), int))
  expected = jax.tree.map(
    lambda s, p: 0.75 * s + 0.25 * p, state['slow'], params
  )
  chex.assert_trees_all_close(new['slow'], expected, atol=1e-6)
  for name, mean in carry.items():
    expected = 0.9 * state[name] + 0.1 * mean
    np.testing.assert_allclose(new[name], expected, atol=1e-7)


def test_masks_are_those_of_the_row_and_of_the_view():
  keys = jax.random.split(jax.random.key(3), 64)
  images = [jnp.zeros((64, 56, 56, 3))] * 2
  draw = jax.jit(_method(mask_share=1.0).draw_masks)
  masks = draw(keys, images)
  assert masks.shape == (2, 64, 14 * 14)
  counts = masks.sum(-1)
  assert ((counts > 0) & (counts <= 98)).all()
  assert not (masks[0] == masks[1]).all(-1).any()
  again = draw(keys[::-1], images)
  chex.assert_trees_all_equal(again[:, ::-1], masks)


@pytest.mark.parametrize(
  ('fields', 'message'),
  [
    ({'encoder': make_encoder(use_mask_token=False)}, 'use_mask_token=True'),
    ({'encoder': make_encoder(pool='avg')}, "pool='cls'"),
    ({'head': models.DINOHead(use_bn=True)}, 'use_bn=False'),
    ({'mask_ratio': (0.5, 0.1)}, 'mask_ratio is .0.5, 0.1.'),
    ({'mask_ratio': (0.0, 0.5)}, 'above 0'),
    ({'mask_share': 1.5}, 'mask_share is 1.5'),
  ],
)
def test_what_does_not_serve_is_a_user_error(fields, message):
  with pytest.raises(UserError, match=message):
    _method(**fields)


@pytest.mark.parametrize(
  ('sizes', 'message'),
  [((16,), 'needs at least 2 views'), ((16, 8), 'one size, not 16x16, 8x8')],
)
def test_views_that_do_not_serve_are_a_user_error(sizes, message):
  method = _method()
  with pytest.raises(UserError, match=message):
    method.loss(
      *_initial(), {'views': make_views(sizes)}, key=jax.random.key(0), step=0
    )
