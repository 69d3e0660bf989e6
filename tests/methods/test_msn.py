import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import models
from jaxssl.errors import UserError
from jaxssl.methods import MSN, variables
from tests.methods.test_ibot import ROWS, make_views

PROTOTYPES, TEMPERATURE, SHARPENING = 10, 0.2, 0.5
# A target, a view of which half is seen, a small one.
SIZES = (16, 16, 8)


def _method(**fields):
  encoder = models.make_encoder('vit_ti4', dim=16, depth=1, num_heads=2)
  head = models.DINOHead(
    hidden_dim=12, bottleneck_dim=6, out_dim=PROTOTYPES, use_bn=True
  )
  fields = {
    'mask_ratio': 0.5,
    'temperature': TEMPERATURE,
    'sharpening': SHARPENING,
    **fields,
  }
  return MSN(encoder=encoder, head=head, **fields)


@functools.lru_cache
def _start():
  """Views, parameters, and a state as after some steps."""
  batch = {'views': make_views(SIZES)}
  params, state = jax.jit(_method().init)(jax.random.key(0), batch)
  draws = np.random.default_rng(0)
  slow = jax.tree.map(
    lambda p: p + 0.05 * draws.normal(size=p.shape).astype(np.float32), params
  )
  return batch, params, {**state, 'slow': {**state['slow'], 'params': slow}}


@functools.lru_cache
def _embedded():
  batch, params, state = _start()
  keys = jax.random.split(jax.random.key(1), ROWS)
  found, _ = jax.jit(_method().embed)(params, state, batch, keys=keys, step=0)
  return found


def _compare(embeddings, params, **fields):
  return _method(**fields).compare(
    params, _start()[2], embeddings, {}, step=jnp.zeros((), jnp.int32)
  )


def _vectors(params, features):
  """What the head has in front of its prototypes, float32 [n, 6]."""
  own = {**params['head'], 'last_layer': {'kernel': jnp.eye(6)}}
  square = models.DINOHead(
    hidden_dim=12, bottleneck_dim=6, out_dim=6, use_bn=True
  )
  stats = _start()[2]['stats']
  z, _ = variables.apply_part('head', square, {'head': own}, stats, features)
  return np.array(z)


def test_target_is_seen_whole_by_the_slow_network_and_anchors_in_part():
  batch, params, state = _start()
  found, encoder = _embedded(), _method().encoder

  def features(params, view, **options):
    variables = {'params': params['encoder']}
    return encoder.apply(variables, view, **options)[0]

  target, masked, focal = batch['views']
  for name, expected in (
    ('target', features(state['slow']['params'], target)),
    ('focal', features(params, focal)[None]),
  ):
    np.testing.assert_allclose(found[name], expected, atol=1e-5)
  # Some half of the patches of each picture; which, only their features say.
  whole = features(params, masked)
  assert np.abs(np.array(found['masked'][0]) - whole).max() > 1e-3
  keep = jnp.broadcast_to(jnp.arange(16)[None], (ROWS, 16))
  np.testing.assert_allclose(
    features(params, masked, keep=keep), whole, atol=1e-5
  )


@pytest.mark.reference
@pytest.mark.parametrize('iterations', [0, 3])
def test_loss_and_gradient_equal_lightlys(iterations):
  """Both networks have the student's prototypes; their gradient too."""
  import torch

  from benchmarks.peers import torch_simclr

  torch_simclr.libraries()
  from lightly.loss import MSNLoss

  _, params, state = _start()
  found = _embedded()
  anchors = [
    _vectors(params, features)
    for features in (found['masked'][0], found['focal'][0])
  ]
  target = _vectors(state['slow']['params'], found['target'])
  kernel = np.array(params['head']['last_layer']['kernel'])
  prototypes = torch.tensor(kernel.T, requires_grad=True)
  expected = MSNLoss(
    temperature=TEMPERATURE,
    sinkhorn_iterations=iterations,
    regularization_weight=2.0,
  )(
    torch.tensor(np.concatenate(anchors)),
    torch.tensor(target),
    prototypes,
    target_sharpen_temperature=SHARPENING,
  )
  expected.backward()
  loss = functools.partial(_compare, iterations=iterations, spread_weight=2.0)
  (value, _), gradient = jax.jit(
    jax.value_and_grad(loss, argnums=1, has_aux=True)
  )(found, params)
  # float32 on both sides.
  np.testing.assert_allclose(value, expected.item(), rtol=1e-5)
  np.testing.assert_allclose(
    gradient['head']['last_layer']['kernel'],
    prototypes.grad.numpy().T,
    rtol=1e-3,
    atol=1e-6,
  )


def test_an_encoder_without_patches_is_a_user_error():
  with pytest.raises(UserError, match="'msn' needs a vision transformer"):
    MSN(encoder=models.make_encoder('resnet18'))


def test_masked_views_of_several_sizes_are_a_user_error():
  method = _method(num_masked=2)
  large, small = jnp.zeros((4, 16, 16, 3)), jnp.zeros((4, 8, 8, 3))
  keys = jax.random.split(jax.random.key(0), 4)
  with pytest.raises(UserError, match=r'2 views \(method\.num_masked\)'):
    method.embed({}, {}, {'views': (large, large, small)}, keys=keys, step=0)
