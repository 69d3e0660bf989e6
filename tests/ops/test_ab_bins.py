import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.ops import ab_bins, lab


def _ab(count=500):
  rgb = np.random.default_rng(0).uniform(size=(count, 3)).astype(np.float32)
  return np.asarray(lab.rgb_to_lab(jnp.asarray(rgb)))[:, 1:]


def test_there_are_313_bins():
  # Zhang et al. 2016, section 2.1.
  assert ab_bins.bin_centers().shape == (313, 2)


def test_bins_are_the_corners_of_squares_that_srgb_reaches():
  color = pytest.importorskip('skimage.color')
  level = np.linspace(0, 1, 256)
  u, v = (x.ravel() for x in np.meshgrid(level, level))
  # The outermost colours lie on the faces of the cube.
  faces = [
    np.insert(np.stack([u, v], -1), axis, end, axis=1)
    for axis in range(3)
    for end in (0.0, 1.0)
  ]
  ab = color.rgb2lab(np.concatenate(faces))[:, 1:]
  squares = np.unique(np.floor(ab / 10), axis=0)
  around = [(0, 0), (0, 1), (1, 0), (1, 1)]
  corners = {tuple(10 * (s + d)) for s in squares for d in np.array(around)}
  bins = {tuple(center) for center in ab_bins.bin_centers()}
  assert len(corners) == 309
  assert bins - corners == {(40, 90), (100, -90), (100, -10), (100, 0)}
  assert corners <= bins


def test_every_color_is_near_a_bin():
  bins, _ = ab_bins.soft_encode(jnp.asarray(_ab()))
  nearest = ab_bins.bin_centers()[np.asarray(bins[:, 0])]
  assert np.abs(_ab() - nearest).max() <= 5.001


def test_soft_encoding_equals_scikit_learn():
  neighbors = pytest.importorskip('sklearn.neighbors')
  index = neighbors.NearestNeighbors(n_neighbors=10)
  distance, expected = index.fit(ab_bins.bin_centers()).kneighbors(_ab())
  weights = np.exp(-(distance**2) / (2 * 5.0**2))
  weights /= weights.sum(axis=1, keepdims=True)
  bins, soft = ab_bins.soft_encode(jnp.asarray(_ab()))
  np.testing.assert_array_equal(bins, expected)
  np.testing.assert_allclose(soft, weights, atol=1e-5)


def test_soft_encoding_far_from_all_bins_is_finite():
  _, soft = ab_bins.soft_encode(jnp.array([[500.0, -500.0]]))
  np.testing.assert_allclose(soft.sum(), 1.0, rtol=1e-6)


def test_leading_axes_do_not_matter():
  ab = jnp.asarray(_ab(24))
  flat, _ = ab_bins.soft_encode(ab)
  deep, _ = ab_bins.soft_encode(ab.reshape(2, 3, 4, 2))
  np.testing.assert_array_equal(deep.reshape(24, 10), flat)


class TestClassWeights:
  def test_rare_bins_weigh_more_and_the_mean_is_1(self):
    prior = np.random.default_rng(0).dirichlet(np.full(313, 0.1))
    weights = ab_bins.class_weights(jnp.asarray(prior), uniform=0.5)
    expected = 1 / (0.5 * prior + 0.5 / 313)
    expected /= (prior * expected).sum()
    np.testing.assert_allclose(weights, expected, rtol=1e-5)

  def test_uniform_1_gives_equal_weights(self):
    prior = jnp.array([0.7, 0.2, 0.1])
    np.testing.assert_allclose(
      ab_bins.class_weights(prior, uniform=1.0), np.ones(3), rtol=1e-6
    )


class TestAnnealedMean:
  def test_temperature_1_is_the_mean(self):
    logits = jax.random.normal(jax.random.key(0), (5, 313))
    expected = jax.nn.softmax(logits) @ ab_bins.bin_centers()
    np.testing.assert_allclose(
      ab_bins.annealed_mean(logits, temperature=1.0), expected, atol=1e-4
    )

  def test_low_temperature_is_the_mode(self):
    logits = jax.random.normal(jax.random.key(0), (5, 313))
    expected = ab_bins.bin_centers()[np.asarray(logits.argmax(-1))]
    np.testing.assert_allclose(
      ab_bins.annealed_mean(logits, temperature=1e-4), expected, atol=1e-3
    )
