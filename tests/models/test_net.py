import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np

from jaxssl import models


def test_net_is_head_of_encoder_with_separate_variables():
  encoder = models.make_encoder('vit_ti8', dim=16, num_heads=2, depth=1)
  head = models.SimCLRHead(num_layers=2, out_dim=3)
  net = models.Net(encoder=encoder, head=head)
  x = np.random.default_rng(0).standard_normal((4, 16, 16, 3), np.float32)
  variables = jax.jit(functools.partial(net.init, train=False))(
    jax.random.key(0), x
  )
  assert set(variables['params']) == {'encoder', 'head'}
  assert set(variables['batch_stats']) == {'head'}

  def part(name):
    return {c: tree[name] for c, tree in variables.items() if name in tree}

  z = net.apply(variables, x, train=False)
  features, _ = encoder.apply(part('encoder'), x)
  chex.assert_trees_all_close(
    z, head.apply(part('head'), features, train=False), atol=1e-6
  )
  chex.assert_shape(z, (4, 3))


def test_net_passes_training_to_encoder_and_head():
  net = models.Net(
    encoder=models.make_encoder('resnet18', width=0.0625, stem='cifar'),
    head=models.SimCLRHead(num_layers=2),
  )
  x = jnp.zeros((2, 8, 8, 3))
  variables = jax.eval_shape(
    functools.partial(net.init, train=False), jax.random.key(0), x
  )
  run = functools.partial(net.apply, train=True, mutable=['batch_stats'])
  _, new = jax.eval_shape(run, variables, x)
  chex.assert_trees_all_equal_shapes(
    new['batch_stats'], variables['batch_stats']
  )
