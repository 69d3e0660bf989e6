import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import models
from jaxssl.errors import UserError
from jaxssl.methods import DINO, momentum
from jaxssl.ops.distillation import distillation
from jaxssl.train import optim
from tests.tiny import TinyEncoder

BATCH, PROTOTYPES = 4, 10


def _method(**kwargs):
  return DINO(
    encoder=TinyEncoder(),
    head=models.DINOHead(
      hidden_dim=12, bottleneck_dim=6, out_dim=PROTOTYPES, norm_last_layer=False
    ),
    **kwargs,
  )


def _batch(sizes=(8, 8, 4)):
  keys = jax.random.split(jax.random.key(0), len(sizes))
  views = [
    jax.random.normal(key, (BATCH, size, size, 3))
    for key, size in zip(keys, sizes, strict=True)
  ]
  return {'views': views}


def _loss(method, params, state, batch):
  return jax.jit(method.loss)(
    params, state, batch, key=jax.random.key(1), step=jnp.zeros((), int)
  )


@pytest.mark.reference
@pytest.mark.parametrize('num_views', [2, 6])
def test_loss_gradient_and_center_equal_lightly(num_views):
  from lightly.loss import DINOLoss
  import torch

  rng = np.random.default_rng(0)
  student = rng.normal(size=(num_views, BATCH, PROTOTYPES)).astype(np.float32)
  teacher = rng.normal(size=(2, BATCH, PROTOTYPES)).astype(np.float32)
  center = rng.normal(size=(1, PROTOTYPES)).astype(np.float32)
  targets = jax.nn.softmax((teacher - center[None]) / 0.04)
  loss, grad = jax.value_and_grad(distillation, argnums=1)(
    targets, student, temperature=0.1
  )
  reference = DINOLoss(PROTOTYPES, teacher_temp=0.04, student_temp=0.1)
  reference.center.copy_(torch.from_numpy(center[None]))
  theirs = torch.tensor(student, requires_grad=True)
  expected = reference(
    list(torch.from_numpy(teacher)), list(theirs), teacher_temp=0.04
  )
  expected.backward()
  # float32 on both sides; logits are divided by 0.04 and 0.1.
  np.testing.assert_allclose(loss, expected.item(), rtol=1e-5)
  np.testing.assert_allclose(grad, theirs.grad.numpy(), rtol=1e-4, atol=1e-6)
  moved = momentum.move(center, teacher.mean((0, 1))[None], 0.9)
  np.testing.assert_allclose(moved, reference.center[0], rtol=1e-5, atol=1e-6)


def test_equal_logits_have_the_loss_ln_k():
  targets = jax.nn.softmax(jnp.arange(2.0 * 3 * 5).reshape(2, 3, 5))
  loss = distillation(targets, jnp.zeros((4, 3, 5)), temperature=0.1)
  np.testing.assert_allclose(loss, math.log(5), rtol=1e-6)


def test_teacher_follows_the_new_parameters_and_the_center_the_logits():
  method = _method(momentum=0.75, center_momentum=0.5)
  params, state = jax.jit(method.init)(jax.random.key(0), _batch())
  _, aux = _loss(method, params, state, _batch())
  moved = jax.tree.map(lambda p: p + 1.0, params)
  _, new = method.update(moved, state, aux.carry, step=jnp.zeros((), int))
  expected = jax.tree.map(lambda p: p + 0.25, params)
  chex.assert_trees_all_close(new['slow']['params'], expected, atol=1e-6)
  np.testing.assert_allclose(
    new['center'][0], aux.carry['mean_logits'] / 2, rtol=1e-6
  )


def test_small_views_share_a_forward_pass_and_keep_their_order():
  # Without batch statistics the logits of a view do not depend on the others.
  encoder = models.make_encoder('vit_ti4', dim=16, depth=1, num_heads=2)
  method = DINO(encoder=encoder, head=models.DINOHead(4, 8, 4, PROTOTYPES))
  batch = _batch((8, 8, 4, 4))
  params, state = jax.jit(method.init)(jax.random.key(0), batch)

  @jax.jit
  def together(views):
    keys = jax.random.split(jax.random.key(0), len(views[0]))
    return method._logits(encoder, params, state['stats'], views, keys, None)[0]

  @jax.jit
  def alone(view):
    features, _ = encoder.apply({'params': params['encoder']}, view)
    return method.head.apply({'params': params['head']}, features, train=True)

  logits = together(batch['views'])
  for view, expected in zip(batch['views'], logits, strict=True):
    np.testing.assert_allclose(alone(view), expected, atol=1e-5)


def test_last_layer_waits_under_the_rule_of_the_recipe():
  method, batch = _method(), _batch()
  params, state = jax.jit(method.init)(jax.random.key(0), batch)
  tx = optim.make_optimizer(
    name='adamw',
    learning_rate=lambda step: 0.1,
    weight_decay=0.1,
    rules=[{'match': 'head/last_layer', 'freeze_steps': 1}],
  )
  grads = jax.jit(jax.grad(lambda p: _loss(method, p, state, batch)[0]))(params)
  moments = tx.init(params)
  first, moments = tx.update(grads, moments, params)
  second, _ = tx.update(grads, moments, params)
  frozen = first['head'].pop('last_layer')
  chex.assert_trees_all_equal(frozen, jax.tree.map(jnp.zeros_like, frozen))
  assert all(jnp.any(leaf != 0) for leaf in jax.tree.leaves(first['head']))
  for leaf in jax.tree.leaves(second['head']['last_layer']):
    assert jnp.any(leaf != 0)


def test_scale_of_the_prototypes_is_a_parameter_only_if_asked():
  x = jnp.ones((2, 6))
  free = models.DINOHead(2, 12, 6, PROTOTYPES, norm_last_layer=False)
  unit = models.DINOHead(2, 12, 6, PROTOTYPES, norm_last_layer=True)
  trees = [
    head.init(jax.random.key(0), x, train=True)['params']
    for head in (free, unit)
  ]
  assert trees[0]['last_layer']['scale'].shape == (1, PROTOTYPES)
  assert 'scale' not in trees[1]['last_layer']
  logits = unit.apply({'params': trees[1]}, x, train=True)
  assert float(jnp.abs(logits).max()) <= 1.0 + 1e-6


def test_batch_norm_of_the_head_sees_all_views_of_its_network():
  head = models.DINOHead(2, 12, 6, PROTOTYPES, use_bn=True)
  method = DINO(encoder=TinyEncoder(), head=head)
  batch = _batch()
  params, state = jax.jit(method.init)(jax.random.key(0), batch)
  _, aux = _loss(method, params, state, batch)
  _, new = method.update(params, state, aux.carry, step=0)

  def expected(views):
    # The encoder normalises by resolution.
    groups = [v for v in (views[:2], views[2:]) if v]
    features = [
      TinyEncoder().apply(
        {'params': params['encoder'], 'batch_stats': first['encoder']},
        jnp.concatenate(group),
        train=True,
        mutable=['batch_stats'],
      )[0][0]
      for group in groups
    ]
    layer = params['head']['dense_0']
    x = jnp.concatenate(features) @ layer['kernel'] + layer['bias'][None]
    return 0.1 * x.mean(0)

  first = state['stats']['batch_stats']
  for stats, views in (
    (new['stats'], batch['views']),
    (new['slow']['stats'], batch['views'][:2]),
  ):
    mean = stats['batch_stats']['head']['bn_0']['mean']
    np.testing.assert_allclose(mean, expected(views), atol=1e-6)


def test_one_view_is_not_enough():
  method = _method()
  params, state = jax.jit(method.init)(jax.random.key(0), _batch())
  with pytest.raises(UserError, match='needs at least 2 views'):
    _loss(method, params, state, _batch((8,)))
