import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import models
from jaxssl.errors import UserError
from jaxssl.models import norm as norm_lib


def _x(mean=1.0, shape=(8, 3, 3, 4)):
  rng = np.random.default_rng(0)
  return (mean + 2.0 * rng.standard_normal(shape)).astype(np.float32)


def _train(norm, x, axis_name=None):
  variables = norm.init(jax.random.key(0), x, train=False)
  return norm.apply(
    variables, x, train=True, axis_name=axis_name, mutable=['batch_stats']
  )


def _apply(norm, variables, x, **options):
  start = norm.init(jax.random.key(0), x, train=False)
  return norm.apply(
    {**start, **variables},
    x,
    train=True,
    mutable=['batch_stats'],
    **options,
  )[0]


@pytest.mark.reference
def test_three_steps_equal_torch():
  import torch

  theirs = torch.nn.BatchNorm2d(4)
  norm = models.BatchNorm()
  variables = norm.init(jax.random.key(0), _x(), train=False)
  for step in range(3):
    x = _x(mean=step)
    y, new = norm.apply(variables, x, train=True, mutable=['batch_stats'])
    variables = {**variables, **new}
    expected = theirs(torch.from_numpy(x.transpose(0, 3, 1, 2)))
    expected = expected.detach().numpy().transpose(0, 2, 3, 1)
    # Both compute in float32; the order of their sums differs.
    chex.assert_trees_all_close(y, expected, atol=1e-5)
  stats = variables['batch_stats']
  chex.assert_trees_all_close(
    stats,
    {'mean': theirs.running_mean.numpy(), 'var': theirs.running_var.numpy()},
    rtol=1e-5,
  )


def test_running_variance_is_unbiased_over_all_rows():
  x = _x(shape=(5, 4))
  _, new = _train(models.BatchNorm(momentum=0.0), x)
  chex.assert_trees_all_close(
    new['batch_stats'],
    {'mean': x.mean(0), 'var': x.var(0, ddof=1)},
    rtol=1e-5,
  )


@pytest.mark.parametrize('devices', [2, 8])
def test_pmap_equals_the_global_batch(devices):
  norm, x = models.BatchNorm(), _x()
  weights = _x(0.0)

  def run(x, weights, axis_name):
    def loss(x):
      y, new = _train(norm, x, axis_name)
      return (y * weights).sum(), (y, new)

    return jax.grad(loss, has_aux=True)(x)

  grads, (y, new) = run(x, weights, None)
  split = (devices, len(x) // devices, *x.shape[1:])
  grads_d, (y_d, new_d) = jax.pmap(
    lambda x, w: run(x, w, 'devices'),
    'devices',
    devices=jax.devices()[:devices],
  )(x.reshape(split), weights.reshape(split))
  chex.assert_trees_all_close(y_d.reshape(y.shape), y, atol=1e-5)
  chex.assert_trees_all_close(grads_d.reshape(x.shape), grads, atol=1e-5)
  for device in range(devices):
    mine = jax.tree.map(lambda a, d=device: a[d], new_d)
    chex.assert_trees_all_close(mine, new, rtol=1e-5)


def test_large_mean_keeps_the_variance():
  x = _x(mean=4096.0, shape=(512, 4))
  y, _ = _train(models.BatchNorm(), x)
  chex.assert_trees_all_close(y.std(0), np.ones(4), rtol=1e-3)


def test_evaluation_uses_running_statistics_and_leaves_them():
  norm, x = models.BatchNorm(epsilon=0.0), _x()
  stats = {'mean': jnp.arange(4.0), 'var': 4.0 * jnp.ones(4)}
  params = {'scale': 3.0 * jnp.ones(4), 'bias': jnp.ones(4)}
  y, new = norm.apply(
    {'params': params, 'batch_stats': stats},
    x,
    train=False,
    mutable=['batch_stats'],
  )
  chex.assert_trees_all_equal(new['batch_stats'], stats)
  expected = (x - np.arange(4.0, dtype=np.float32)) / 2.0 * 3.0 + 1.0
  chex.assert_trees_all_close(y, expected, rtol=1e-5, atol=1e-5)


def test_training_with_immutable_statistics_leaves_them():
  norm, x = models.BatchNorm(), _x()
  variables = norm.init(jax.random.key(0), x, train=False)
  y = norm.apply(variables, x, train=True)
  chex.assert_trees_all_close(y, _train(norm, x)[0])


def test_initialisation_in_training_mode_leaves_statistics():
  variables = models.BatchNorm().init(jax.random.key(0), _x(), train=True)
  chex.assert_trees_all_equal(
    variables['batch_stats'], {'mean': jnp.zeros(4), 'var': jnp.ones(4)}
  )


def test_parameters_are_there_only_if_asked_for():
  norm = models.BatchNorm(use_scale=False, use_bias=False)
  assert 'params' not in norm.init(jax.random.key(0), _x(), train=False)


def test_bfloat16_result_with_float32_statistics():
  norm = models.BatchNorm(dtype=jnp.bfloat16)
  y, new = _train(norm, jnp.asarray(_x(), jnp.bfloat16))
  assert y.dtype == jnp.bfloat16
  chex.assert_type(jax.tree.leaves(new), jnp.float32)


def test_groups_are_normalised_apart():
  x = _x(shape=(8, 3, 3, 4))
  norm = models.BatchNorm(num_groups=2, momentum=0.0)
  y, new = _train(norm, x)
  halves = [_train(models.BatchNorm(momentum=0.0), h) for h in np.split(x, 2)]
  expected = np.concatenate([h for h, _ in halves])
  np.testing.assert_allclose(y, expected, atol=1e-6)
  stats = jax.tree.map(lambda a, b: (a + b) / 2, halves[0][1], halves[1][1])
  chex.assert_trees_all_close(new, stats, rtol=1e-5)


def test_groups_that_do_not_fit_the_batch():
  with pytest.raises(UserError, match=r'3 groups .* batch of 8 on 1 devices'):
    _train(models.BatchNorm(num_groups=3), _x())


@pytest.mark.parametrize('sums', ['_sums', '_sums_at_once'])
@pytest.mark.parametrize('num_groups', [1, 2])
@pytest.mark.parametrize('shortcut', [False, True])
def test_relu_has_the_gradient_of_its_parts(
  sums, num_groups, shortcut, monkeypatch
):
  # Both ways to add up, of which this machine would take one.
  monkeypatch.setattr(norm_lib, '_sums', getattr(norm_lib, sums))
  x, other, weights = _x(), _x(mean=0.0), _x(mean=0.0)[::-1]
  variables = {
    'params': {'scale': jnp.array([1.0, -2.0, 0.5, 0.0]), 'bias': _x()[0, 0, 0]}
  }
  other = other if shortcut else None

  def together(variables, x, other):
    norm = models.BatchNorm(relu=True, num_groups=num_groups)
    return _apply(norm, variables, x, shortcut=other)

  def apart(variables, x, other):
    y = _apply(models.BatchNorm(num_groups=num_groups), variables, x)
    return jax.nn.relu(y if other is None else y + other)

  found, expected = (
    jax.grad(lambda *args, f=f: (f(*args) * weights).sum(), (0, 1, 2))(
      variables, x, other
    )
    for f in (together, apart)
  )
  chex.assert_trees_all_close(found, expected, atol=1e-5)
  chex.assert_trees_all_equal(
    together(variables, x, other), apart(variables, x, other)
  )
