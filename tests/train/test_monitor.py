import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.train import monitor


def _filled(*history):
  result = monitor.Monitor(jax.device_get)
  for step, metrics in enumerate(history, 1):
    metrics = {'loss': 1.0, 'grad_norm': 1.0, **metrics}
    result.add(step, {k: jnp.float32(v) for k, v in metrics.items()})
  return result


def test_flush_returns_the_last_step_as_floats():
  metrics = _filled({'loss': 2.0}, {'loss': 1.5}).flush()
  assert metrics == {'loss': 1.5, 'grad_norm': 1.0}
  assert type(metrics['loss']) is float


def test_flush_forgets():
  filled = _filled({})
  filled.flush()
  assert filled.flush() == {}


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize('name', ['loss', 'grad_norm'])
def test_not_finite_names_the_first_step(name, value):
  filled = _filled({}, {name: value}, {'loss': np.nan, 'grad_norm': np.nan})
  with pytest.raises(monitor.DivergedError, match=f'{name} is .* at step 2;'):
    filled.flush()


def test_the_metric_that_went_bad_first_is_named():
  filled = _filled({'entropy': np.nan}, {'loss': np.nan, 'entropy': np.nan})
  with pytest.raises(monitor.DivergedError, match='entropy is nan at step 1;'):
    filled.flush()


def test_within_a_step_the_cause_is_named_before_the_loss():
  filled = _filled({'loss': np.nan, 'grad_norm': np.nan, 'entropy': np.nan})
  with pytest.raises(monitor.DivergedError, match='entropy is nan'):
    filled.flush()


def test_other_metrics_may_be_undefined():
  metrics = _filled({'share': np.nan}).flush()
  assert np.isnan(metrics['share'])


def test_at_most_two_steps_are_in_flight(monkeypatch):
  waited = []
  monkeypatch.setattr(jax, 'block_until_ready', waited.append)
  held = monitor.Monitor(jax.device_get)
  for step in range(5):
    held.add(step, {'step': step})
  assert waited == [{'step': 0}, {'step': 1}, {'step': 2}]
