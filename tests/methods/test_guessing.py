import math

import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.methods import METHODS, guessing
from jaxssl.methods.entry import unknown
from jaxssl.ops import decorrelation
from tests import tiny_methods

# Losses of projections that are all the same, which is where these end if they
# collapse, and not where they start.
CONSTANT = {
  'barlow_twins': lambda z: decorrelation.barlow_twins(
    decorrelation.cross_correlation(z, z), off_diagonal=0.0051
  ),
  'vicreg': lambda z: 25 * decorrelation.spread(z).variance,
}
# What they lose without looking depends on the pictures.
UNKNOWN = [name for name, row in METHODS.items() if row.guessing is unknown]
# Theory expects the first loss to be the one of guessing, but for these: below.
OTHERS = {*CONSTANT, 'mae', 'siglip'}
STARTS_AT_GUESSING = [
  name for name in METHODS if name not in {*OTHERS, *UNKNOWN}
]


@pytest.mark.parametrize('name', STARTS_AT_GUESSING)
def test_untrained_methods_guess(name):
  row = METHODS[name]
  method = tiny_methods.make(name)
  found = row.guessing(method, tiny_methods.ROWS)
  assert found == pytest.approx(row.tiny.initial_loss)


@pytest.mark.parametrize('name', CONSTANT)
def test_projections_that_are_all_the_same_guess(name):
  method = tiny_methods.make(name)
  found = METHODS[name].guessing(method, tiny_methods.ROWS)
  loss = CONSTANT[name](jnp.zeros((4, method.head.out_dim)))
  assert found == pytest.approx(float(loss), rel=1e-5)


@pytest.mark.parametrize('name', UNKNOWN)
def test_guessing_that_depends_on_the_pictures_is_unknown(name):
  method = tiny_methods.make(name)
  assert METHODS[name].guessing(method, tiny_methods.ROWS) is None


def test_sigmoid_is_least_at_one_over_the_rows():
  def loss(logit, rows):
    return math.log1p(math.exp(-logit)) + (rows - 1) * math.log1p(
      math.exp(logit)
    )

  logits = np.linspace(-6, 2, 2001)
  assert guessing.sigmoid(16) == pytest.approx(
    min(loss(x, 16) for x in logits), rel=1e-5
  )


@pytest.mark.parametrize('normalize', [True, False])
def test_gray_patches(normalize):
  method = tiny_methods.make('mae', normalize_pixels=normalize)
  targets = np.random.default_rng(0).normal(size=(2000, 48))
  targets -= targets.mean(1, keepdims=True)
  targets /= targets.std(1, ddof=1, keepdims=True)
  found = METHODS['mae'].guessing(method, 16)
  expected = pytest.approx((targets**2).mean()) if normalize else None
  assert found == expected
