"""The jaxssl side of the quality benchmark runs from start to features."""

import dataclasses

import jax
import numpy as np
import pytest

from benchmarks.quality import pipeline_jaxssl, pipeline_recipes


@pytest.mark.parametrize('name', pipeline_recipes.RECIPES)
def test_a_recipe_names_what_the_method_has(name):
  method = pipeline_jaxssl.make_method(name)
  recipe = pipeline_recipes.RECIPES[name]
  for key, value in recipe.method.items():
    assert getattr(method, key) == value
  for key, value in recipe.head.items():
    assert getattr(method.head, key) == value


def test_a_step_leads_to_features(monkeypatch):
  recipe = dataclasses.replace(
    pipeline_recipes.RECIPES['mae'], steps=1, batch=4
  )
  monkeypatch.setitem(pipeline_recipes.RECIPES, 'mae', recipe)
  size = pipeline_recipes.SIZE
  images = np.random.default_rng(0).integers(0, 256, (8, size, size, 3))
  ours = pipeline_jaxssl.Ours('mae', images.astype(np.uint8))
  state, loss = ours.train(ours.start(seed=0), seed=0)
  features = jax.device_get(ours.encode_fn(state)(images[:4].astype(np.uint8)))
  assert np.isfinite(loss)
  assert features.shape == (4, pipeline_recipes.VIT['embed_dim'])
  assert np.isfinite(features).all()
