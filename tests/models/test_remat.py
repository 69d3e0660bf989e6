"""What is computed again changes memory and arithmetic, not a number."""

import functools
import types

import chex
import jax
import jax.numpy as jnp
import pytest

from jaxssl import models
from jaxssl.errors import UserError
from jaxssl.models.remat import is_on
from jaxssl.planning.flops import matmul_flops

POLICIES = ('full', 'dots')


def _vit(remat):
  return models.make_encoder(
    'vit_ti4', dim=32, depth=2, num_heads=2, remat=remat
  )


def _resnet(remat):
  return models.make_encoder('resnet18', width=0.125, remat=remat)


def _convnext(remat):
  return models.make_encoder(
    'convnext_t', blocks=(1, 1, 1, 1), width=8, stem_size=2, remat=remat
  )


def _text(remat):
  return models.make_text_encoder(
    'clip_512',
    vocab_size=32,
    length=8,
    dim=32,
    depth=2,
    num_heads=2,
    remat=remat,
  )


CASES = {
  'vit': _vit,
  'resnet': _resnet,
  'convnext': _convnext,
  'text': _text,
}


def _loss(make, remat):
  """A loss of the parameters, and the parameters."""
  encoder = make(remat)
  x = jax.random.uniform(jax.random.key(0), (4, 16, 16, 3))
  if make is _text:
    x = jax.random.randint(jax.random.key(0), (4, 8), 0, 32)
  # Whatever is computed again, the parameters are the same.
  variables = jax.jit(make(False).init)(jax.random.key(1), x)

  def loss(params):
    features, _ = encoder.apply({**variables, 'params': params}, x)
    return jnp.square(features).mean()

  return loss, variables['params']


@functools.lru_cache
def _loss_and_gradient(case, remat):
  loss, params = _loss(CASES[case], remat)
  return jax.jit(jax.value_and_grad(loss))(params)


@pytest.mark.parametrize('remat', POLICIES)
@pytest.mark.parametrize('case', CASES)
def test_loss_and_gradient_are_those_without(case, remat):
  chex.assert_trees_all_close(
    _loss_and_gradient(case, remat),
    _loss_and_gradient(case, False),
    rtol=1e-5,
    atol=1e-6,
  )


def test_policies_are_ordered_in_arithmetic():
  flops = []
  for policy in (False, 'dots', 'full'):
    loss, params = _loss(_vit, policy)
    flops.append(matmul_flops(jax.grad(loss), params))
  assert flops[0] < flops[1] < flops[2]
  # Only the attention's two products a block are computed again.
  heads, tokens, width, rows, depth = 2, 17, 16, 4, 2
  attention = 2 * 2.0 * rows * heads * tokens**2 * width * depth
  assert flops[1] - flops[0] <= attention


def test_true_is_full():
  counts = []
  for policy in (True, 'full'):
    loss, params = _loss(_vit, policy)
    counts.append(matmul_flops(jax.grad(loss), params))
  assert counts[0] == counts[1]


@pytest.mark.parametrize(
  'make',
  [*CASES.values(), lambda r: models.make_encoder('dvae', remat=r)],
)
def test_unknown_policy_is_a_user_error(make):
  with pytest.raises(UserError, match='dots'):
    make('dot')


@pytest.mark.parametrize('value', [False, True, 'dots'])
@pytest.mark.parametrize('tower', ['encoder', 'text_encoder'])
def test_a_method_recomputes_as_its_networks_do(tower, value):
  towers = {
    name: models.make_encoder('vit_ti4') for name in ('encoder', 'text_encoder')
  }
  towers[tower] = models.make_encoder('vit_ti4', remat=value)
  method = types.SimpleNamespace(**towers, temperature=0.1)
  assert is_on(method) == bool(value)
  assert not is_on(types.SimpleNamespace())
