import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.methods import Rotation
from jaxssl.methods import rotation as rotation_lib
from tests.tiny import TinyEncoder

ROWS, SIZE = 6, 12


def _images():
  shape = (ROWS, SIZE, SIZE, 3)
  return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@functools.lru_cache
def _method_and_variables():
  method = Rotation(encoder=TinyEncoder())
  batch = {'views': (_images(),)}
  params, state = jax.jit(method.init)(jax.random.key(0), batch)
  # A classifier that does something: it starts from almost nothing.
  params['head'] = jax.tree.map(lambda w: 50 * w, params['head'])
  return method, params, state


@functools.lru_cache
def _value_and_grad():
  method, params, state = _method_and_variables()
  batch = {'views': (jnp.asarray(_images()),)}

  def loss(params):
    return method.loss(params, state, batch, key=jax.random.key(1), step=0)

  return jax.jit(jax.value_and_grad(loss, has_aux=True))(params)


@pytest.mark.parametrize('turns', range(4))
def test_an_entry_is_the_image_turned_by_numpy(turns):
  turned = rotation_lib.rotations(jnp.asarray(_images()))[turns]
  expected = np.rot90(_images(), turns, axes=(1, 2))
  np.testing.assert_array_equal(turned, expected)


def test_all_rotations_of_all_rows_go_through_the_network_once():
  shapes = []

  class Recorder(TinyEncoder):
    def __call__(self, images, train=False, axis_name=None, keys=None):
      shapes.append(images.shape)
      return super().__call__(images, train, axis_name, keys)

  method = Rotation(encoder=Recorder())
  _, params, state = _method_and_variables()
  batch = {'views': (jnp.asarray(_images()),)}
  loss = functools.partial(method.loss, key=jax.random.key(1), step=0)
  jax.eval_shape(loss, params, state, batch)
  assert shapes == [(4 * ROWS, SIZE, SIZE, 3)]


def test_gradient_reaches_encoder_and_classifier():
  _, grads = _value_and_grad()
  for leaf in jax.tree.leaves(grads['encoder']['Conv_0']):
    assert float(jnp.abs(leaf).max()) > 0
  chex.assert_tree_all_finite(grads)


@pytest.mark.reference
def test_loss_and_gradient_equal_pytorch():
  import torch

  method, params, state = _method_and_variables()
  (loss, aux), grads = _value_and_grad()
  grads = grads['head']['fc']

  images = np.concatenate([np.rot90(_images(), k, (1, 2)) for k in range(4)])
  (features, _), _ = method.encoder.apply(
    {
      'params': params['encoder'],
      'batch_stats': state['batch_stats']['encoder'],
    },
    jnp.asarray(images),
    train=True,
    mutable=['batch_stats'],
  )
  kernel, bias = (
    torch.tensor(np.asarray(params['head']['fc'][name]), requires_grad=True)
    for name in ('kernel', 'bias')
  )
  logits = torch.tensor(np.asarray(features)) @ kernel + bias
  labels = torch.arange(4).repeat_interleave(ROWS)
  expected = torch.nn.functional.cross_entropy(logits, labels)
  expected.backward()
  # float32 sums over rows in another order.
  np.testing.assert_allclose(loss, expected.item(), rtol=2e-6)
  np.testing.assert_allclose(grads['kernel'], kernel.grad, atol=2e-6)
  np.testing.assert_allclose(grads['bias'], bias.grad, atol=2e-6)
  top1 = (logits.argmax(1) == labels).float().mean().item()
  np.testing.assert_allclose(aux.metrics['rotation_top1'], top1, rtol=1e-6)
