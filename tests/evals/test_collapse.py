import jax
import numpy as np
import pytest

from jaxssl.evals import collapse


def random_features(rows=400, dim=20, seed=0):
  random = np.random.default_rng(seed)
  return random.normal(size=(rows, dim)).astype(np.float32)


def indicators(features):
  return {k: float(v) for k, v in collapse.indicators(features).items()}


def test_isotropic_features_have_std_one_and_full_rank():
  found = indicators(random_features())
  # 400 samples in 20 directions: the singular values differ by some per cent.
  assert found['feature_std'] == pytest.approx(1, abs=0.01)
  assert found['effective_rank'] == pytest.approx(20, rel=0.02)


def test_equal_features_have_std_zero_and_rank_one():
  found = indicators(np.tile(random_features(1), (50, 1)))
  assert found['feature_std'] == pytest.approx(0, abs=1e-5)
  assert found['effective_rank'] == pytest.approx(1, abs=1e-3)


def test_rank_counts_equal_directions():
  found = indicators(np.eye(8, 20, dtype=np.float32))
  assert found['effective_rank'] == pytest.approx(8, rel=1e-5)


def test_values_equal_numpy():
  features = random_features() * np.linspace(0.01, 3, 20)
  unit = features / np.linalg.norm(features, axis=1, keepdims=True)
  sigma = np.linalg.svd(features, compute_uv=False)
  share = sigma / sigma.sum()
  found = indicators(features.astype(np.float32))
  assert found['feature_std'] == pytest.approx(
    unit.std(axis=0).mean() * np.sqrt(20), rel=1e-5
  )
  assert found['effective_rank'] == pytest.approx(
    np.exp(-(share * np.log(share)).sum()), rel=1e-5
  )


@pytest.mark.parametrize('factor', [1e-3, 1e3])
def test_scale_does_not_matter(factor):
  features = random_features()
  assert indicators(features * factor) == pytest.approx(
    indicators(features), rel=1e-4
  )


def test_zero_features_are_finite_and_collapsed():
  found = indicators(np.zeros((5, 3), np.float32))
  assert found == {'feature_std': 0, 'effective_rank': 1}


def test_runs_under_jit_and_in_bfloat16():
  found = jax.jit(collapse.indicators)(random_features().astype('bfloat16'))
  assert found['effective_rank'].dtype == np.float32
  # bfloat16 keeps eight bits of each feature.
  assert float(found['feature_std']) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(
  ('features', 'words'),
  [
    (random_features() + 1e3, 'all images get nearly the same'),
    (np.outer(random_features(50, 1), random_features(1)), 'one direction'),
    (np.full((5, 3), np.nan, np.float32), 'collapsed'),
  ],
)
def test_collapse_is_named(features, words):
  assert words in collapse.warning(indicators(features))


def test_healthy_features_give_no_warning():
  assert collapse.warning(indicators(random_features())) is None


def test_a_few_pictures_are_not_judged():
  alike = np.ones((3, 20), np.float32)
  assert collapse.examine(alike) == {}
  assert collapse.advice(alike) is None
  assert 'collapsed' in collapse.advice(np.ones((16, 20), np.float32))


def test_many_pictures_are_judged_by_some(monkeypatch):
  features = random_features()
  monkeypatch.setattr(collapse, 'MAX_IMAGES', 50)
  assert collapse.examine(features) == pytest.approx(indicators(features[::8]))
