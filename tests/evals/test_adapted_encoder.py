import chex
import jax
import numpy as np
import pytest

from jaxssl.evals import adapted_encoder
from tests.evals.exported_vit import SIZE, exported_vit


@pytest.fixture(scope='module')
def exported():
  return exported_vit()


def test_adapted_encoder_keeps_all_but_the_norm(exported):
  adapted = adapted_encoder.adapted(exported, pool='avg', drop_path=0.2)
  assert adapted.encoder.drop_path == 0.2
  assert not adapted.encoder.use_mask_token
  new, old = adapted.variables['params'], exported.variables['params']
  assert {'fc_norm'} == new.keys() - old.keys()
  assert {'norm', 'mask_token'} == old.keys() - new.keys()
  shared = new.keys() & old.keys()
  chex.assert_trees_all_equal(
    {k: new[k] for k in shared}, {k: old[k] for k in shared}
  )
  np.testing.assert_array_equal(new['fc_norm']['scale'], np.ones(16))


def test_average_of_the_patches_equals_the_final_norm_of_the_mean(exported):
  adapted = adapted_encoder.adapted(exported, pool='avg', drop_path=0.0)
  images = np.random.default_rng(0).normal(size=(2, SIZE, SIZE, 3))
  features, out = jax.jit(adapted.encoder.apply)(adapted.variables, images)
  tokens = np.asarray(out['block01'])[:, 1:].mean(axis=1)
  centred = tokens - tokens.mean(axis=1, keepdims=True)
  expected = centred / np.sqrt(tokens.var(axis=1, keepdims=True) + 1e-6)
  np.testing.assert_allclose(features, expected, atol=1e-5)


def test_an_encoder_of_other_channels_is_adapted():
  five = exported_vit(channels=5, use_mask_token=False)
  adapted = adapted_encoder.adapted(five, pool='same', drop_path=0.1)
  chex.assert_trees_all_equal(adapted.variables, five.variables)
