import functools
import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from jaxssl.methods import simclr
from jaxssl.ops import contrastive
from jaxssl.parallel import collectives, modes

BATCHES, TEMPERATURES = (2, 8, 33), (0.05, 0.1, 0.5, 1.0)


def _embeddings(rows, dim=12, seed=0):
  random = np.random.default_rng(seed)
  z1, z2 = random.normal(size=(2, rows, dim)).astype(np.float32)
  return z1, (z2 + z1).astype(np.float32)  # pairs are alike, as in training


@jax.jit
def _value_and_grad(z1, z2, temperature):
  def loss(z1, z2):
    return contrastive.nt_xent(z1, z2, temperature=temperature)

  return jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)(z1, z2)


def _directions(z1, z2, temperature):
  """Equation 1 of SimCLR in float64: the sums over each view's rows."""
  z = np.concatenate([z1, z2]).astype(np.float64)
  z /= np.linalg.norm(z, axis=1, keepdims=True)
  rows = len(z1)
  similar = np.exp(z @ z.T / temperature)
  np.fill_diagonal(similar, 0.0)
  other_view = np.roll(np.arange(2 * rows), rows)
  losses = -np.log(
    similar[np.arange(2 * rows), other_view] / similar.sum(axis=1)
  )
  return losses[:rows], losses[rows:]


@pytest.mark.parametrize('temperature', TEMPERATURES)
@pytest.mark.parametrize('rows', BATCHES)
def test_nt_xent_is_equation_1(rows, temperature):
  z1, z2 = _embeddings(rows)
  (loss, _), _ = _value_and_grad(z1, z2, temperature)
  expected = np.mean(np.concatenate(_directions(z1, z2, temperature)))
  # A float32 cosine is off by 1e-7, which a low temperature multiplies by 20.
  np.testing.assert_allclose(loss, expected, rtol=3e-6, atol=3e-6)


@pytest.mark.reference
@pytest.mark.parametrize('temperature', TEMPERATURES)
@pytest.mark.parametrize('rows', BATCHES)
def test_nt_xent_and_its_gradient_equal_lightly(rows, temperature):
  from lightly.loss import NTXentLoss
  import torch

  z1, z2 = _embeddings(rows)
  (loss, _), grads = _value_and_grad(z1, z2, temperature)
  t1, t2 = (torch.tensor(z, requires_grad=True) for z in (z1, z2))
  expected = NTXentLoss(temperature=temperature)(t1, t2)
  expected.backward()
  # Both sides are float32; see above for the temperature.
  np.testing.assert_allclose(loss, expected.item(), rtol=3e-6, atol=3e-6)
  for ours, theirs in zip(grads, (t1.grad, t2.grad), strict=True):
    np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-4, atol=2e-6)


@functools.partial(jax.jit, static_argnums=0)
def _pair_loss(name, images, texts, scalars):
  def loss(images, texts, scalars):
    return getattr(contrastive, name)(images, texts, **scalars)[0]

  return jax.value_and_grad(loss, argnums=(0, 1, 2))(images, texts, scalars)


@pytest.mark.reference
@pytest.mark.parametrize('scale', [10.0, 1 / 0.07, 100.0])
@pytest.mark.parametrize('rows', BATCHES)
@pytest.mark.parametrize('name', ['clip', 'sigmoid'])
def test_pair_losses_and_gradients_equal_open_clip(name, rows, scale):
  from open_clip.loss import ClipLoss, SigLipLoss
  import torch

  scalars = {'scale': scale} | ({'bias': -10.0} if name == 'sigmoid' else {})
  images, texts = _embeddings(rows)
  value, grads = _pair_loss(name, images, texts, scalars)
  x, y = (torch.tensor(z, requires_grad=True) for z in (images, texts))
  numbers = {n: torch.tensor(v, requires_grad=True) for n, v in scalars.items()}
  theirs = {'clip': ClipLoss, 'sigmoid': SigLipLoss}[name]()
  features = (torch.nn.functional.normalize(z, dim=1) for z in (x, y))
  expected = theirs(*features, *numbers.values())
  expected.backward()
  # Logits are up to 100, so float32 rounds them to 1e-5.
  np.testing.assert_allclose(value, expected.item(), rtol=3e-6, atol=1e-5)
  wanted = (x.grad, y.grad, {n: v.grad for n, v in numbers.items()})
  pairs = zip(jax.tree.leaves(grads), jax.tree.leaves(wanted), strict=True)
  for ours, grad in pairs:
    largest = np.abs(grad.numpy()).max()
    # 1e-9: at scale 100 a pair of two is certain, its gradient rounding.
    atol = 1e-9 + 1e-5 * largest
    np.testing.assert_allclose(ours, grad.numpy(), rtol=1e-4, atol=atol)


def test_authors_factor_is_the_sum_of_the_two_directions():
  z1, z2 = _embeddings(8)
  (loss, _), _ = _value_and_grad(z1, z2, 0.5)
  direction1, direction2 = _directions(z1, z2, 0.5)
  authors = np.mean(direction1 + direction2)
  np.testing.assert_allclose(simclr.AUTHORS_FACTOR * loss, authors, rtol=1e-6)


def test_loss_is_ln_of_the_choices_at_high_temperature():
  (loss, _), _ = _value_and_grad(*_embeddings(33), 1e6)
  np.testing.assert_allclose(loss, math.log(2 * 33 - 1), rtol=1e-6)


def _log_mean_exp_of_cosines(dim, temperature):
  """ln E exp(c / T), c the cosine of two random directions, in float64."""
  order, kappa = dim / 2 - 1, 1 / temperature
  return (
    special.gammaln(dim / 2)
    + order * math.log(2 / kappa)
    + math.log(special.ive(order, kappa))
    + kappa
  )


CHANCE = {  # loss of random z1, z2, number of choices among `rows`
  'nt_xent': lambda x, y, t: contrastive.nt_xent(x, y, temperature=t),
  'info_nce': lambda x, y, t: contrastive.info_nce(x, y, temperature=t),
  'clip': lambda x, y, t: contrastive.clip(x, y, scale=1 / t),
  'queue_nce': lambda x, y, t: contrastive.queue_nce(
    x[:64], y[:64], contrastive.l2_normalize(y[64:]), temperature=t
  ),
}


@pytest.mark.parametrize(
  ('dim', 'temperature'), [(128, 0.1), (64, 0.2), (512, 0.07)]
)
@pytest.mark.parametrize('name', CHANCE)
def test_loss_of_random_embeddings_is_chance(name, dim, temperature):
  rows, draws = 256, 20
  z = np.random.default_rng(0).normal(size=(draws, 2, rows, dim))
  z = (z / np.linalg.norm(z, axis=-1, keepdims=True)).astype(np.float32)
  loss = jax.jit(lambda x, y: CHANCE[name](x, y, temperature)[0])
  pairs = 64 if name == 'queue_nce' else rows
  # The positive logit has mean 0: adding what it is here takes its noise away.
  positive = np.mean(np.sum(z[:, 0] * z[:, 1], -1)[:, :pairs]) / temperature
  found = np.mean([loss(*pair) for pair in z]) + positive
  choices = {'nt_xent': 2 * rows - 1, 'queue_nce': rows - 64 + 1}
  more = _log_mean_exp_of_cosines(dim, temperature)
  expected = math.log(choices.get(name, rows)) + more
  # With N choices it is smaller by var(exp(c / T)) / (2 N mean^2) < 0.006.
  np.testing.assert_allclose(found, expected, atol=0.01)
  approximate = 1 / (2 * dim * temperature**2)
  np.testing.assert_allclose(more, approximate, rtol=0.05)
  assert more > 0.15  # what the tolerance could not hide


def test_sigmoid_loss_of_random_embeddings_is_chance():
  rows, dim = 512, 128
  x, y = np.random.default_rng(0).normal(size=(2, rows, dim))
  x, y = x.astype(np.float32), y.astype(np.float32)
  loss, _ = contrastive.sigmoid(x, y, scale=10.0, bias=-10.0)
  cosines = np.sum(x * y, 1) / np.linalg.norm(x, axis=1)
  cosines /= np.linalg.norm(y, axis=1)
  # The negatives' part alone; the pairs' own is 10 - 10 c to 5e-5.
  negatives = float(loss) - np.mean(np.logaddexp(0, 10 - 10 * cosines))
  expected = math.exp(-10 + _log_mean_exp_of_cosines(dim, 0.1)) * (rows - 1)
  np.testing.assert_allclose(negatives, expected, rtol=0.02)
  np.testing.assert_allclose(
    expected, 4.54e-5 * math.exp(50 / dim) * (rows - 1), rtol=0.01
  )


def test_top1_is_the_share_of_rows_next_to_their_other_view():
  z = np.eye(4, dtype=np.float32)
  swapped = z[[1, 0, 2, 3]]
  _, top1 = contrastive.nt_xent(z, swapped, temperature=1.0)
  assert float(top1) == 0.5


def test_order_of_rows_and_views_does_not_matter():
  z1, z2 = _embeddings(8)
  order = np.random.default_rng(1).permutation(8)
  (loss, top1), (grad1, grad2) = _value_and_grad(z1, z2, 0.1)
  (other, other_top1), (other2, other1) = _value_and_grad(
    z2[order], z1[order], 0.1
  )
  np.testing.assert_allclose(other, loss, rtol=1e-6)
  assert other_top1 == top1
  np.testing.assert_allclose(other1, grad1[order], atol=1e-6)
  np.testing.assert_allclose(other2, grad2[order], atol=1e-6)


def test_norm_of_embeddings_does_not_matter():
  z1, z2 = _embeddings(8)
  (loss, _), _ = _value_and_grad(z1, z2, 0.1)
  (scaled, _), _ = _value_and_grad(z1 * 100, z2 * 0.01, 0.1)
  np.testing.assert_allclose(scaled, loss, rtol=1e-6)


# The loss of a device is the mean over its rows; the train step averages over
# devices. So the gradient of a row is what its device finds, over D.
@pytest.mark.parametrize('devices', [1, 2, 8])
def test_pmap_equals_the_global_view(devices):
  z1, z2 = _embeddings(16)

  @functools.partial(jax.pmap, axis_name='d', devices=jax.devices()[:devices])
  def per_device(z1, z2):
    def loss(z1, z2):
      return contrastive.nt_xent(z1, z2, temperature=0.1, axis_name='d')

    (value, top1), grads = jax.value_and_grad(loss, (0, 1), has_aux=True)(
      z1, z2
    )
    return collectives.pmean((value, top1), 'd'), grads

  split = [z.reshape(devices, -1, z.shape[-1]) for z in (z1, z2)]
  (loss, top1), grads = per_device(*split)
  (expected, expected_top1), expected_grads = _value_and_grad(z1, z2, 0.1)
  # Sums over devices are taken in another order.
  np.testing.assert_allclose(loss, np.full(devices, expected), rtol=1e-6)
  np.testing.assert_allclose(top1, np.full(devices, expected_top1), rtol=1e-6)
  for ours, theirs in zip(grads, expected_grads, strict=True):
    ours = np.asarray(ours).reshape(theirs.shape) / devices
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize('devices', [2, 8])
def test_jit_over_sharded_rows_equals_one_device(devices):
  z1, z2 = _embeddings(16)
  mode = modes.make_mode('jit', num_devices=devices)
  sharded = _value_and_grad(*mode.put_batch((z1, z2)), 0.1)
  chex.assert_trees_all_close(
    jax.device_get(sharded), _value_and_grad(z1, z2, 0.1), atol=1e-6, rtol=1e-6
  )


def _with_texts():
  rng = np.random.default_rng(0)
  return rng.normal(size=(6, 8)), rng.normal(size=(6, 3, 8))


def _unit(x):
  return x / np.linalg.norm(x, axis=-1, keepdims=True)


def test_all_texts_of_an_image_are_right_answers_to_clip():
  images, texts = _with_texts()
  logits = 5 * np.einsum('id,jkd->ijk', _unit(images), _unit(texts))
  own = logits[np.arange(6), np.arange(6)]  # [6, 3]
  to_texts = np.log(np.exp(logits).sum((1, 2)))[:, None] - own
  to_images = np.log(np.exp(logits).sum(0)) - own
  loss, _ = contrastive.clip(images, texts, scale=5.0)
  # float32 against float64.
  expected = (to_texts.mean() + to_images.mean()) / 2
  np.testing.assert_allclose(loss, expected, rtol=1e-6)


def test_sigmoid_of_several_texts_is_the_mean_of_the_losses_of_one():
  images, texts = _with_texts()
  options = {'scale': 5.0, 'bias': -2.0}
  loss, _ = contrastive.sigmoid(images, texts, **options)
  singles = [
    contrastive.sigmoid(images, texts[:, k], **options)[0] for k in range(3)
  ]
  np.testing.assert_allclose(loss, np.mean(singles), rtol=1e-6)


def test_one_text_in_a_list_is_one_text():
  images, texts = _with_texts()
  for loss in (
    functools.partial(contrastive.clip, scale=5.0),
    functools.partial(contrastive.sigmoid, scale=5.0, bias=-2.0),
  ):
    chex.assert_trees_all_equal(
      loss(images, texts[:, :1]), loss(images, texts[:, 0])
    )


def test_an_image_is_found_with_any_of_its_texts():
  images = np.eye(3)
  # The first is nearest to its second text, the third to one of the first's.
  texts = np.array([images[[2, 0]], images[[1, 1]], -images[[2, 1]]])
  _, top1 = contrastive.sigmoid(images, texts, scale=5.0, bias=0.0)
  np.testing.assert_allclose(top1, 2 / 3)


class TestL2Normalize:
  def test_norm_is_one(self):
    z, _ = _embeddings(5)
    norms = np.linalg.norm(contrastive.l2_normalize(z * 7), axis=-1)
    np.testing.assert_allclose(norms, 1.0, rtol=1e-6)

  def test_gradient_at_zero_is_finite(self):
    gradient = jax.grad(lambda x: jnp.sum(contrastive.l2_normalize(x)))
    chex.assert_tree_all_finite(gradient(jnp.zeros((2, 3))))

  def test_bfloat16_is_normalised_in_float32(self):
    z = jnp.asarray(_embeddings(5)[0], jnp.bfloat16)
    normalized = contrastive.l2_normalize(z)
    assert normalized.dtype == jnp.float32
    norms = np.linalg.norm(normalized, axis=-1)
    np.testing.assert_allclose(norms, 1.0, rtol=1e-6)
