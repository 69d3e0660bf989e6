import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from jaxssl.errors import UserError
from jaxssl.evals import knn_segmentation, settings
from jaxssl.evals.knn_segmentation import KnnSegmentation
from tests.evals import colored


@pytest.mark.parametrize(('rows', 'k'), [(300, 7), (5, 5)])
def test_attention_to_neighbours_is_that_of_scikit_learn(rows, k):
  random = np.random.default_rng(0)
  bank = random.normal(size=(rows, 6)).astype(np.float32)
  values = random.random((rows, 4)).astype(np.float32)
  queries = random.normal(size=(301, 6)).astype(np.float32)
  distance, at = (
    NearestNeighbors(n_neighbors=k, metric='cosine')
    .fit(bank.astype(np.float64))
    .kneighbors(queries.astype(np.float64))
  )
  weights = np.exp((1 - distance) / 0.1)
  weights /= weights.sum(axis=1, keepdims=True)
  unit = bank / np.linalg.norm(bank, axis=1, keepdims=True)
  found = knn_segmentation.attend(
    jnp.asarray(queries), jnp.asarray(unit), jnp.asarray(values), 0.1, k=k
  )
  expected = (weights[..., None] * values[at]).sum(axis=1)
  np.testing.assert_allclose(found, expected, atol=1e-5)


def test_class_shares_of_patches():
  mask = np.random.default_rng(0).integers(-1, 3, (8, 8))
  mask[:4, 4:] = -1
  found = knn_segmentation.class_shares(mask, 4, 3)
  for place in range(4):
    top, left = 4 * (place // 2), 4 * (place % 2)
    known = [v for v in mask[top : top + 4, left : left + 4].ravel() if v >= 0]
    expected = [known.count(label) / max(len(known), 1) for label in range(3)]
    np.testing.assert_allclose(found[place], expected, atol=1e-6)


def test_colours_are_told_apart():
  metrics = KnnSegmentation(k=5).run(
    colored.encoder(), colored.pictures(8), colored.pictures(4, seed=1)
  )
  assert metrics['miou'] > 0.75
  # Two windows of 4 x 4 patches each.
  assert metrics['num_patches'] == 8 * 32
  assert metrics['constant_miou'] < 0.2


def test_the_bank_has_as_many_patches_of_each_picture():
  bank = KnnSegmentation(bank_size=20).bank(
    colored.encoder(), colored.pictures(8), 3
  )
  assert bank.features.shape == (8 * 3, 48)
  np.testing.assert_allclose(bank.shares.sum(axis=1), 1)
  # A patch of one class has the colour of it.
  colour = bank.features[:, -3:].argmax(axis=1)
  np.testing.assert_array_equal(bank.shares.argmax(axis=1), colour)


def test_settings_that_make_no_sense_are_told():
  for name in ('bank_size', 'k', 'batch_size', 'temperature'):
    with pytest.raises(UserError, match=f'{name} is 0; it must be positive'):
      KnnSegmentation(**{name: 0})


# Published with results. A change here is a new version of the protocol.
def test_defaults_of_the_version():
  assert settings.settings_of(KnnSegmentation()) == {
    'bank_size': 50_000,
    'k': 30,
    'temperature': 0.02,
    'batch_size': 16,
    'size': None,
    'side': None,
    'seed': 0,
  }
