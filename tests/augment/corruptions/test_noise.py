import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.augment.corruptions import noise

GRAY = jnp.full((200, 200, 3), 0.5)
KEY = jax.random.key(0)


def test_gaussian_noise_has_its_deviation():
  added = noise.gaussian_noise(KEY, GRAY, 0.18) - GRAY
  # 120,000 values: the deviation is known to 0.2 %, the mean to 5e-4.
  assert float(added.std()) == pytest.approx(0.18, rel=0.01)
  assert abs(float(added.mean())) < 3e-3


def test_shot_noise_is_poisson():
  found = noise.shot_noise(KEY, GRAY, 12.0)
  np.testing.assert_allclose(12 * found, jnp.round(12 * found), atol=1e-5)
  # Mean x, variance x / c.
  assert float(found.mean()) == pytest.approx(0.5, rel=0.01)
  assert float(found.var()) == pytest.approx(0.5 / 12, rel=0.03)


def test_impulse_noise_is_half_salt_half_pepper():
  found = np.asarray(noise.impulse_noise(KEY, GRAY, 0.2))
  assert set(np.unique(found)) == {0.0, 0.5, 1.0}
  assert (found == 1).mean() == pytest.approx(0.1, rel=0.05)
  assert (found == 0).mean() == pytest.approx(0.1, rel=0.05)


def test_channels_have_noise_of_their_own():
  found = np.asarray(noise.gaussian_noise(KEY, GRAY, 0.1)) - 0.5
  correlation = np.corrcoef(found.reshape(-1, 3).T)
  np.testing.assert_allclose(correlation, np.eye(3), atol=0.02)
