import functools

import chex
from flax import linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxssl import errors
from jaxssl.methods import trained_start
from jaxssl.methods.supervised import Supervised, scale_by_sweep, sweep_logits
from jaxssl.models.norm import BatchNorm
from jaxssl.train.state import init_state
from jaxssl.train.step import train_step

CLASSES = 3
RATES = (0.01, 0.1, 1.0)


class TinyEncoder(nn.Module):
  @nn.compact
  def __call__(self, images, train=False, axis_name=None, keys=None):
    x = nn.Dense(6)(images.reshape(len(images), -1))
    x = BatchNorm(name='bn')(x, train=train, axis_name=axis_name)
    return nn.relu(x), {'raw': x}


def as_views(key, batch, axis_name):
  del key, axis_name
  return {**batch, 'views': (batch['image'],)}


def make_batch(rows=16, seed=0, unknown=0):
  random = np.random.default_rng(seed)
  label = random.integers(CLASSES, size=rows).astype(np.int32)
  image = random.normal(size=(rows, 2, 2, 3)) + label[:, None, None, None]
  label[:unknown] = -1
  return {'image': image.astype(np.float32), 'label': label}


def make_method(**changes):
  return Supervised(
    **{
      'encoder': TinyEncoder(),
      'num_classes': CLASSES,
      'frozen': True,
      **changes,
    }
  )


def make_tx(rates=(1.0,), rate=0.5):
  sgd = optax.sgd(rate, momentum=0.9, nesterov=True)
  return optax.chain(sgd, scale_by_sweep(rates))


def init(method, tx, batch):
  start = functools.partial(init_state, method=method, augment=as_views, tx=tx)
  return jax.jit(start)(jax.random.key(0), batch)


def run(method, tx, steps=6, batches=make_batch):
  step = jax.jit(
    functools.partial(train_step, method=method, augment=as_views, tx=tx)
  )
  state = init(method, tx, batches())
  history = []
  for i in range(steps):
    state, metrics = step(state, batches(seed=i))
    history.append(metrics)
  return state, history


def loss_of(method, batch, head=None):
  batch = as_views(None, batch, None)
  params, state = jax.jit(method.init)(jax.random.key(0), batch)
  if head is not None:
    params['head'] = head
  key, step = jax.random.key(1), jnp.zeros((), jnp.int32)
  return jax.jit(method.loss)(params, state, batch, key=key, step=step)


def random_head(sweep=1):
  random = np.random.default_rng(3)
  return {
    'kernel': jnp.asarray(random.normal(size=(sweep, 6, CLASSES)), 'float32'),
    'bias': jnp.asarray(random.normal(size=(sweep, CLASSES)), 'float32'),
  }


def test_loss_at_start_is_log_of_classes_for_each_entry():
  loss, _ = loss_of(make_method(learning_rates=RATES), make_batch())
  assert float(loss) == pytest.approx(3 * np.log(CLASSES), rel=1e-6)


@pytest.mark.reference
@pytest.mark.parametrize('smoothing', [0.0, 0.1])
def test_loss_equals_pytorch(smoothing):
  import torch

  batch = make_batch(unknown=5)
  method = make_method(label_smoothing=smoothing)
  _, state = method.init(jax.random.key(0), as_views(None, batch, None))
  features, _ = TinyEncoder().apply(state['encoder'], batch['image'])
  head = random_head()
  logits = features @ head['kernel'][0] + head['bias']
  theirs = torch.nn.functional.cross_entropy(
    torch.tensor(np.asarray(logits)),
    torch.tensor(batch['label']).long(),
    ignore_index=-1,
    label_smoothing=smoothing,
  )
  ours, _ = loss_of(method, batch, head)
  assert float(ours) == pytest.approx(float(theirs), rel=1e-6)


def test_sweep_equals_separate_runs():
  together, _ = run(make_method(learning_rates=RATES), make_tx(RATES))
  for i, rate in enumerate(RATES):
    alone, _ = run(make_method(), make_tx(rate=0.5 * rate))
    # The sums run in another order when the classifiers share a product.
    chex.assert_trees_all_close(
      jax.tree.map(lambda x, i=i: x[i : i + 1], together.params['head']),
      alone.params['head'],
      rtol=1e-4,
      atol=1e-6,
    )


def test_an_entry_that_diverges_leaves_the_others_alone():
  rates = (0.01, 1e38)
  together, _ = run(make_method(learning_rates=rates), make_tx(rates))
  assert not np.isfinite(together.params['head']['kernel'][1]).all()
  alone, _ = run(make_method(), make_tx(rate=0.005))
  chex.assert_trees_all_close(
    together.params['head']['kernel'][:1],
    alone.params['head']['kernel'],
    rtol=1e-4,
    atol=1e-6,
  )


def test_scale_by_sweep_touches_the_head_only():
  updates = {'encoder': jnp.ones(3), 'head': {'bias': jnp.ones((2, 4))}}
  scaled, _ = scale_by_sweep((2.0, 3.0)).update(updates, optax.EmptyState())
  wanted = jnp.repeat(jnp.array([[2.0], [3.0]]), 4, axis=1)
  chex.assert_trees_all_equal(
    scaled, {'encoder': jnp.ones(3), 'head': {'bias': wanted}}
  )


def test_frozen_encoder_stays_as_it_is():
  method, tx = make_method(), make_tx()
  before = init(method, tx, make_batch()).method_state
  after, _ = run(method, tx)
  chex.assert_trees_all_equal(after.method_state, before)
  assert set(after.params) == {'head'}


def test_encoder_trains_unless_frozen():
  method, tx = make_method(frozen=False), make_tx()
  before = init(method, tx, make_batch())
  after, history = run(method, tx)
  moved = jax.tree.map(
    lambda a, b: bool((a != b).any()),
    (before.params, before.method_state),
    (after.params, after.method_state),
  )
  assert all(jax.tree.leaves(moved))
  assert history[-1]['loss'] < history[0]['loss']


def test_rows_without_label_do_not_count():
  batch = make_batch(unknown=5)
  known = jax.tree.map(lambda x: x[5:], batch)
  head = random_head()
  loss, aux = loss_of(make_method(), batch, head)
  wanted, wanted_aux = loss_of(make_method(), known, head)
  chex.assert_trees_all_close(
    (loss, aux.metrics), (wanted, wanted_aux.metrics), rtol=1e-6
  )


def test_batch_without_labels_has_loss_and_gradient_zero():
  method, tx = make_method(), make_tx()
  state, history = run(method, tx, 1, functools.partial(make_batch, unknown=16))
  assert float(history[0]['loss']) == 0
  chex.assert_trees_all_equal(
    state.params, jax.tree.map(jnp.zeros_like, state.params)
  )


@pytest.mark.parametrize('frozen', [True, False])
def test_pmap_equals_jit_with_labels_spread_unevenly(frozen):
  method, tx = make_method(frozen=frozen, learning_rates=RATES), make_tx(RATES)
  batch = make_batch(32, unknown=11)
  start = init(method, tx, batch)
  step = functools.partial(train_step, method=method, augment=as_views, tx=tx)
  whole, whole_metrics = jax.jit(step)(start, batch)
  mapped = jax.pmap(
    functools.partial(step, axis_name='data'),
    axis_name='data',
    in_axes=(None, 0),
  )
  rows = jax.tree.map(lambda x: x.reshape(8, 4, *x.shape[1:]), batch)
  parts, parts_metrics = mapped(start, rows)
  first = functools.partial(jax.tree.map, lambda x: x[0])
  # Sums over devices run in another order.
  chex.assert_trees_all_close(
    (first(parts.params), first(parts.method_state), first(parts_metrics)),
    (whole.params, whole.method_state, whole_metrics),
    rtol=1e-4,
    atol=1e-6,
  )


def test_metrics_are_the_accuracy_of_each_entry():
  _, aux = loss_of(make_method(learning_rates=RATES), make_batch())
  assert list(aux.metrics) == ['top1_lr0.01', 'top1_lr0.1', 'top1_lr1']
  head = random_head()
  batch = make_batch(unknown=4)
  method = make_method()
  _, aux = loss_of(method, batch, head)
  _, state = method.init(jax.random.key(0), as_views(None, batch, None))
  features, _ = TinyEncoder().apply(state['encoder'], batch['image'])
  predicted = (features @ head['kernel'][0] + head['bias']).argmax(-1)
  assert float(aux.metrics['top1']) == pytest.approx(
    (predicted == batch['label'])[4:].mean()
  )


def test_average_follows_the_weights_and_comes_out():
  method, tx = make_method(frozen=False, average=0.75), make_tx()
  start = init(method, tx, make_batch())
  after, _ = run(method, tx, steps=1)
  expected = jax.tree.map(
    lambda old, new: 0.75 * old + 0.25 * new, start.params, after.params
  )
  average = after.method_state['slow']
  chex.assert_trees_all_close(average, expected, atol=1e-6)
  tower = method.export(after.params, after.method_state)['encoder']
  chex.assert_trees_all_equal(tower['params'], average['encoder'])
  classifiers = method.classifiers(after.params, after.method_state)
  chex.assert_trees_all_equal(classifiers, average['head'])


def test_batchnorm_before_the_classifiers_becomes_part_of_them():
  method, tx = make_method(normalize=True, learning_rates=RATES), make_tx(RATES)
  state, _ = run(method, tx, steps=3)
  features = jnp.asarray(
    np.random.default_rng(0).normal(size=(5, 6)), 'float32'
  )
  normed = method.norm.apply(state.method_state['norm'], features, train=False)
  expected = sweep_logits(state.params['head'], normed)
  heads = method.classifiers(state.params, state.method_state)
  chex.assert_trees_all_close(
    sweep_logits(heads, features), expected, atol=1e-5
  )
  assert (state.method_state['norm']['batch_stats']['mean'] != 0).any()


@pytest.mark.parametrize('frozen', [True, False])
def test_weights_put_in_come_out_again(frozen):
  method = make_method(frozen=frozen)
  batch = as_views(None, make_batch(), None)
  params, state = method.init(jax.random.key(0), batch)
  weights = jax.tree.map(
    lambda x: x + 1, method.export(params, state)['encoder']
  )
  params, state = trained_start.with_towers(
    method, params, state, {'encoder': weights}
  )
  chex.assert_trees_all_equal(method.export(params, state)['encoder'], weights)


def test_weights_of_another_encoder_are_a_user_error():
  method = make_method()
  batch = as_views(None, make_batch(), None)
  params, state = method.init(jax.random.key(0), batch)
  with pytest.raises(errors.UserError, match='another encoder'):
    trained_start.with_towers(
      method, params, state, {'encoder': {'params': {'x': jnp.ones(3)}}}
    )


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({'num_classes': 0}, 'needs classes'),
    ({'learning_rates': ()}, 'learning_rates must be'),
    ({'learning_rates': (0.1, 0.0)}, 'learning_rates must be'),
    ({'label_smoothing': 1.0}, r'Supervised label_smoothing is 1\.0; it must'),
    ({'average': 1.0}, r'Supervised average is 1\.0; it must'),
  ],
)
def test_numbers_out_of_range_are_user_errors(change, message):
  with pytest.raises(errors.UserError, match=message):
    make_method(**change)
