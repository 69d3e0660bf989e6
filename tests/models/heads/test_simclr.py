import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import errors, models


def _features(b=6, dim=16):
  rng = np.random.default_rng(0)
  return rng.standard_normal((b, dim), np.float32)


def _normalised(x):
  return (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5)


def _shapes(tree):
  return jax.tree.map(jnp.shape, tree)


def test_simclr_head_equals_its_definition():
  x = _features()
  head = models.SimCLRHead(num_layers=3, out_dim=4)
  variables = head.init(jax.random.key(0), x, train=False)
  p = jax.tree.map(np.asarray, variables['params'])
  p['bn_0']['bias'] = p['bn_0']['bias'] + 0.3
  p['bn_2']['scale'] = p['bn_2']['scale'] * 2.0
  h = np.maximum(_normalised(x @ p['dense_0']['kernel']) + 0.3, 0)
  h = np.maximum(_normalised(h @ p['dense_1']['kernel']), 0)
  z = 2.0 * _normalised(h @ p['dense_2']['kernel'])
  ours, _ = head.apply(
    {**variables, 'params': p}, x, train=True, mutable=['batch_stats']
  )
  # Kernels of 0.01 make variances of 1e-3, beside epsilon 1e-5.
  chex.assert_trees_all_close(ours, z, atol=1e-3)


@pytest.mark.parametrize('num_layers', [2, 3])
def test_simclr_head_has_the_authors_parameters(num_layers):
  head = models.SimCLRHead(num_layers=num_layers)
  variables = head.init(jax.random.key(0), _features(), train=False)
  last = num_layers - 1
  expected = {}
  for i in range(last):
    expected[f'dense_{i}'] = {'kernel': (16, 16)}
    expected[f'bn_{i}'] = {'scale': (16,), 'bias': (16,)}
  expected[f'dense_{last}'] = {'kernel': (16, 128)}
  expected[f'bn_{last}'] = {'scale': (128,)}
  assert _shapes(variables['params']) == expected


def test_simclr_head_stops_after_its_first_layer():
  x = _features()
  head = models.SimCLRHead(num_layers=3)
  variables = head.init(jax.random.key(0), x, train=False)
  hidden = head.apply(variables, x, train=False, stop_after=1)
  kernel = variables['params']['dense_0']['kernel']
  # Running statistics 0 and 1: BatchNorm divides by sqrt(1 + 1e-5).
  expected = np.maximum(x @ kernel, 0) / np.sqrt(1 + 1e-5)
  chex.assert_trees_all_close(hidden, expected, atol=1e-6)


def test_simclr_head_of_another_depth_is_a_user_error():
  with pytest.raises(errors.UserError, match='2 or 3'):
    models.SimCLRHead(num_layers=1)


def test_result_is_float32_for_bfloat16():
  x = jnp.asarray(_features(), jnp.bfloat16)
  head = models.SimCLRHead(dtype=jnp.bfloat16)
  out, variables = head.init_with_output(jax.random.key(0), x, train=False)
  assert out.dtype == jnp.float32
  chex.assert_type(jax.tree.leaves(variables), jnp.float32)
