import chex
from flax import linen as nn
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxssl import errors
from jaxssl.evals import linear, probe
from jaxssl.methods.supervised import Supervised
from jaxssl.parallel import modes
from tests.evals.clusters import make_clusters

RATES = (0.003, 0.1, 3.0)
TRAIN, TEST = make_clusters(0, 300), make_clusters(1, 200)


def test_optimizer_equals_the_formula():
  tx = probe.probe_optimizer(
    (2.0, 0.5), num_steps=4, batch_size=512, momentum=0.9, warmup_steps=0
  )
  params = {'head': {'bias': jnp.zeros((2, 1))}}
  state = tx.init(params)
  gradients = {'head': {'bias': jnp.ones((2, 1))}}
  velocity, total = 0.0, np.zeros(2)
  for t in range(4):
    updates, state = tx.update(gradients, state, params)
    velocity = 1 + 0.9 * velocity
    rate = np.array([2.0, 0.5]) * 512 / 256 * (1 + np.cos(np.pi * t / 4)) / 2
    total = total - rate * (1 + 0.9 * velocity)
    params = optax.apply_updates(params, updates)
  np.testing.assert_allclose(params['head']['bias'][:, 0], total, rtol=1e-6)


def test_lars_optimizer_equals_the_formula_for_each_classifier():
  rates, steps, warmup = (2.0, 0.5), 5, 2
  tx = probe.lars_probe_optimizer(
    rates, num_steps=steps, batch_size=512, momentum=0.9, warmup_steps=warmup
  )
  random = np.random.default_rng(0)
  kernel, bias = random.normal(size=(2, 3, 2)), random.normal(size=(2, 2))
  params = {'head': {'kernel': jnp.asarray(kernel), 'bias': jnp.asarray(bias)}}
  state = tx.init(params)
  velocities = np.zeros_like(kernel), np.zeros_like(bias)
  for t in range(steps):
    gradients = random.normal(size=(2, 3, 2)), random.normal(size=(2, 2))
    updates, state = tx.update(
      {'head': dict(zip(('kernel', 'bias'), gradients, strict=True))},
      state,
      params,
    )
    params = optax.apply_updates(params, updates)
    cosine = (1 + np.cos(np.pi * (t - warmup) / (steps - warmup))) / 2
    rate = 512 / 256 * (t / warmup if t < warmup else cosine)
    for s in range(2):
      ratio = 1e-3 * np.linalg.norm(kernel[s]) / np.linalg.norm(gradients[0][s])
      velocities[0][s] = 0.9 * velocities[0][s] + ratio * gradients[0][s]
      velocities[1][s] = 0.9 * velocities[1][s] + gradients[1][s]
      kernel[s] -= rates[s] * rate * velocities[0][s]
      bias[s] -= rates[s] * rate * velocities[1][s]
  np.testing.assert_allclose(params['head']['kernel'], kernel, rtol=1e-5)
  np.testing.assert_allclose(params['head']['bias'], bias, rtol=1e-5)


def test_sweep_top1_equals_numpy_in_chunks():
  random = np.random.default_rng(0)
  head = {
    'kernel': random.normal(size=(2, 8, 3)).astype(np.float32),
    'bias': random.normal(size=(2, 3)).astype(np.float32),
  }
  wanted = [
    ((TEST.features @ k + b).argmax(1) == TEST.labels).mean()
    for k, b in zip(head['kernel'], head['bias'], strict=True)
  ]
  np.testing.assert_allclose(probe.sweep_top1(head, TEST, chunk=64), wanted)


class Encoder(nn.Module):
  """Projects flattened pixels; its parameters decide how well."""

  @nn.compact
  def __call__(self, images, train=False, axis_name=None, keys=None):
    assert not train
    return nn.Dense(8, name='fc')(images.reshape(len(images), -1)), {}


def as_images(features):
  return features[:, None, :, None]


def flip_nothing(key, batch, axis_name):
  return {**batch, 'views': (batch['image'],)}


@pytest.fixture(scope='module')
def variables():
  return {'params': {'fc': {'kernel': jnp.eye(8), 'bias': jnp.zeros(8)}}}


def image_batches():
  for batch in linear._batches(TRAIN, 64, seed=0):
    yield {**batch, 'image': as_images(batch['image'])}


def fit_images(variables, mode):
  tx = probe.probe_optimizer(
    RATES, num_steps=20, batch_size=64, momentum=0.9, warmup_steps=0
  )
  return probe.fit(
    Supervised(
      encoder=Encoder(), num_classes=3, learning_rates=RATES, frozen=True
    ),
    image_batches(),
    augment=flip_nothing,
    tx=tx,
    num_steps=20,
    variables=variables,
    mode=mode,
  )


@pytest.mark.parametrize('mode', ['jit', 'pmap'])
def test_images_through_an_encoder_equal_its_features(variables, mode):
  heads = fit_images(variables, modes.make_mode(mode))
  tx = probe.probe_optimizer(
    RATES, num_steps=20, batch_size=64, momentum=0.9, warmup_steps=0
  )
  wanted = probe.fit(
    Supervised(
      encoder=probe.Identity(),
      num_classes=3,
      learning_rates=RATES,
      frozen=True,
    ),
    linear._batches(TRAIN, 64, seed=0),
    augment=linear._as_views,
    tx=tx,
    num_steps=20,
  )
  # Sums over eight devices run in another order.
  chex.assert_trees_all_close(heads, wanted, rtol=1e-3, atol=1e-4)


def test_weights_of_another_encoder_are_a_user_error():
  with pytest.raises(errors.UserError, match='another encoder'):
    fit_images({'params': {}}, modes.make_mode('jit', num_devices=1))


def sweep_with(number):
  """Two classifiers that answer well; `number` is a weight of the second."""
  kernel = np.stack([TEST.features[TEST.labels == c].mean(0) for c in range(3)])
  kernel = np.stack([kernel.T, kernel.T]).astype(np.float32)
  kernel[1, 0, 0] = number
  return {'kernel': kernel, 'bias': np.zeros((2, 3), np.float32)}


@pytest.mark.parametrize('number', [np.nan, np.inf, -np.inf])
def test_a_classifier_that_diverged_is_never_right(number):
  first, second = probe.sweep_top1(sweep_with(number), TEST)
  assert first > 0.5
  assert second == 0
  found = probe.report((0.1, 3.0), np.array([0.7, 0.7]), sweep_with(0), TEST)
  assert found['learning_rate'] == 0.1


@pytest.mark.parametrize('number', [np.nan, np.inf])
def test_a_choice_that_diverged_is_refused(number):
  scores = np.array([0.6, 0.7])
  with pytest.raises(errors.UserError, match='rate 3 diverged'):
    probe.report((0.1, 3.0), scores, sweep_with(number), TEST)


def test_a_sweep_of_which_all_diverge_is_refused():
  protocol = linear.Linear(learning_rates=(2e38, 3e38), epochs=10.0)
  with pytest.raises(errors.UserError, match='diverged: its logits of'):
    protocol.run(TRAIN, TEST)
