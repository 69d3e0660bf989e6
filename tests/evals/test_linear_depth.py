import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from jaxssl.errors import UserError
from jaxssl.evals import linear_depth, settings
from jaxssl.evals.linear_depth import LinearDepth
from tests.evals import colored


def _depths(seed=0):
  random = np.random.default_rng(seed)
  truth = random.uniform(1, 5, (2, 8, 8)).astype(np.float32)
  predicted = (truth * random.uniform(0.5, 1.6, truth.shape)).astype(np.float32)
  truth[0, :3] = np.nan
  return truth, predicted


@pytest.mark.reference
def test_the_loss_is_that_of_the_authors_formula_in_torch():
  torch = pytest.importorskip('torch')
  truth, predicted = _depths()
  p = torch.tensor(predicted, requires_grad=True)
  t = torch.tensor(truth)
  known = torch.isfinite(t)
  g = torch.log(p[known] + 0.001) - torch.log(t[known] + 0.001)
  loss = torch.sqrt(torch.var(g) + 0.15 * torch.pow(torch.mean(g), 2))
  loss.backward()
  found, gradient = jax.value_and_grad(linear_depth.scale_invariant_loss)(
    jnp.asarray(predicted), jnp.asarray(truth)
  )
  np.testing.assert_allclose(found, loss.item(), rtol=1e-5)
  np.testing.assert_allclose(gradient, p.grad.numpy(), rtol=1e-4, atol=1e-7)


def test_the_loss_of_nothing_known_has_no_gradient():
  gradient = jax.grad(linear_depth.scale_invariant_loss)(
    jnp.ones((2, 2)), jnp.full((2, 2), jnp.nan)
  )
  np.testing.assert_array_equal(gradient, 0)


def test_errors_are_those_of_scikit_learn():
  (truth, *_), (predicted, *_) = _depths()
  known = np.isfinite(truth)
  found = linear_depth.errors_of(truth, predicted)
  t, p = truth[known], predicted[known]
  assert found['rmse'] == pytest.approx(
    sklearn_metrics.root_mean_squared_error(t, p), rel=1e-6
  )
  assert found['abs_rel'] == pytest.approx(
    sklearn_metrics.mean_absolute_percentage_error(t, p), rel=1e-6
  )
  near = [max(a / b, b / a) < 1.25 for a, b in zip(t, p, strict=True)]
  assert found['delta1'] == pytest.approx(np.mean(near))


def test_the_mean_of_a_distribution():
  outputs = np.array([[0.0, -5.0, 0.9], [3.0, 3.0, 3.0]])
  centers = np.array([1.0, 2.0, 4.0])
  found = linear_depth.expected_depth(jnp.asarray(outputs), centers)
  first = (0.1 * 1 + 0.1 * 2 + 1.0 * 4) / 1.2
  np.testing.assert_allclose(found, [first, 7 / 3], rtol=1e-6)


def test_colours_tell_the_depth():
  protocol = LinearDepth(steps=60, batch_size=4, warmup_steps=5, bins=16)
  train, test = (
    colored.pictures(count, 'depth', seed=count) for count in (8, 4)
  )
  metrics = protocol.run(colored.encoder(), train, test)
  assert metrics['rmse'] < 0.6 * metrics['constant_rmse']
  assert metrics['abs_rel'] < 0.6 * metrics['constant_abs_rel']
  assert metrics['delta1'] > metrics['constant_delta1']
  assert (metrics['low'], metrics['high']) == (1, 3)


def test_depths_without_a_range_are_told():
  test = colored.pictures(2, 'depth')
  for changes in ({'low': 5.0}, {'low': 0.0}):
    with pytest.raises(UserError, match='give --low and --high'):
      LinearDepth(steps=1, **changes).run(colored.encoder(), test, test)
  with pytest.raises(UserError, match='bins 2'):
    LinearDepth(bins=1)


# Published with results. A change here is a new version of the protocol.
def test_defaults_of_the_version():
  assert settings.settings_of(LinearDepth()) == {
    'steps': 1000,
    'batch_size': 16,
    'learning_rate': 0.01,
    'weight_decay': 1e-4,
    'warmup_steps': 50,
    'bins': 256,
    'low': None,
    'high': None,
    'size': None,
    'side': None,
    'seed': 0,
  }
