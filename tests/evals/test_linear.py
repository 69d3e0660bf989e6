import functools

import chex
from flax import linen as nn
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxssl import errors
from jaxssl.evals import linear
from jaxssl.evals.features import Features
from jaxssl.methods.supervised import Supervised
from jaxssl.parallel import modes

RATES = (0.003, 0.1, 3.0)


def make_clusters(seed, rows, dim=8, classes=3, noise=1.0):
  centres = np.random.default_rng(7).normal(size=(classes, dim))
  random = np.random.default_rng(seed)
  labels = random.integers(classes, size=rows).astype(np.int32)
  features = centres[labels] + noise * random.normal(size=(rows, dim))
  return Features(features.astype(np.float32), labels)


TRAIN, TEST = make_clusters(0, 300), make_clusters(1, 200)
probe = functools.partial(
  linear.linear_eval, learning_rates=RATES, batch_size=64, epochs=5
)


@pytest.fixture(scope='module')
def report():
  return probe(TRAIN, TEST)


def test_optimizer_equals_the_formula():
  tx = linear.probe_optimizer((2.0, 0.5), num_steps=4, batch_size=512)
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
  tx = linear.lars_probe_optimizer(
    rates, num_steps=steps, batch_size=512, warmup_steps=warmup
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


def test_probe_of_mae_does_not_feel_the_scale_of_the_features():
  settings = {
    'optimizer': 'lars',
    'normalize': True,
    'learning_rates': (100.0,),
    'warmup_epochs': 1.0,
    # So many that nothing is left of where the running statistics started.
    'epochs': 40,
  }
  result = probe(TRAIN, TEST, **settings)
  assert result['top1'] > 0.75
  stretch = np.logspace(-1, 2, 8, dtype=np.float32)

  def stretched(data):
    return Features(stretch * data.features + 5 * stretch, data.labels)

  other = probe(stretched(TRAIN), stretched(TEST), **settings)
  assert other['top1'] == pytest.approx(result['top1'], abs=0.011)


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'optimizer': 'larc'}, "did you mean 'lars'"),
    ({'warmup_epochs': 5.0}, 'warmup_steps'),
  ],
)
def test_settings_that_are_not_possible(changes, message):
  with pytest.raises(errors.UserError, match=message):
    probe(TRAIN, TEST, **changes)


def test_probe_finds_linear_classes(report):
  # The best linear rule is known: nearest centre, under equal round noise.
  centres = np.random.default_rng(7).normal(size=(3, 8))
  distance = ((TEST.features[:, None] - centres) ** 2).sum(-1)
  best = (distance.argmin(1) == TEST.labels).mean()
  assert report['top1'] == pytest.approx(best, abs=0.04)
  assert report['num_train'] == 300


def test_headline_is_the_entry_chosen_on_held_out_rows(report):
  assert report['learning_rate'] in RATES
  assert report['top1'] == report[f'top1_lr{report["learning_rate"]:g}']


def test_choice_does_not_look_at_the_test_labels(report):
  wrong = Features(TEST.features, (TEST.labels + 1) % 3)
  assert probe(TRAIN, wrong)['learning_rate'] == report['learning_rate']


def test_rows_without_label_are_ignored():
  labels = np.where(np.arange(300) < 100, -1, TRAIN.labels)
  partly = Features(TRAIN.features, labels)
  known = Features(TRAIN.features[100:], TRAIN.labels[100:])
  assert probe(partly, TEST) == probe(known, TEST)


def test_fewer_rows_than_a_batch():
  few = Features(TRAIN.features[:20], TRAIN.labels[:20])
  assert probe(few, TEST)['num_train'] == 20


def test_batches_hold_every_row_once_an_epoch():
  rows = np.arange(10, dtype=np.float32)[:, None]
  batches = linear._batches(Features(rows, np.arange(10)), 4, seed=0)
  seen = np.concatenate([next(batches)['image'][:, 0] for _ in range(5)])
  for epoch in (seen[:10], seen[10:]):
    np.testing.assert_array_equal(np.sort(epoch), np.arange(10))
  assert (seen[:10] != seen[10:]).any()


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
  np.testing.assert_allclose(linear.sweep_top1(head, TEST, chunk=64), wanted)


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
  tx = linear.probe_optimizer(RATES, num_steps=20, batch_size=64)
  return linear.fit(
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
  tx = linear.probe_optimizer(RATES, num_steps=20, batch_size=64)
  wanted = linear.fit(
    Supervised(
      encoder=linear.Identity(),
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


def test_image_probe_reports_test_accuracy(variables):
  found = linear.image_linear_eval(
    Encoder(),
    variables,
    image_batches(),
    make_clusters(2, 60),
    TEST,
    augment=flip_nothing,
    num_steps=20,
    batch_size=64,
    learning_rates=RATES,
  )
  heads = fit_images(variables, modes.make_mode('jit'))
  top1 = linear.sweep_top1(heads, TEST)
  np.testing.assert_allclose([found[f'top1_lr{r:g}'] for r in RATES], top1)


def test_weights_of_another_encoder_are_a_user_error():
  with pytest.raises(errors.UserError, match='another encoder'):
    fit_images({'params': {}}, modes.make_mode('jit', num_devices=1))
