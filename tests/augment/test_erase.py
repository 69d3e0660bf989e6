import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from jaxssl import errors
from jaxssl.augment.erase import Erase, random_erase

SIZE = 24


@functools.lru_cache
def erased(prob=1.0, rows=1000):
  """Images of 100s, which noise hardly ever is."""
  keys = jax.random.split(jax.random.key(0), rows)
  images = jnp.full((rows, SIZE, SIZE, 3), 100.0)
  run = jax.jit(jax.vmap(functools.partial(random_erase, prob=prob)))
  return np.asarray(run(keys, images))


def areas(images):
  return (images[..., 0] != 100).sum(axis=(1, 2)) / SIZE**2


def test_what_is_erased_is_one_rectangle_of_normal_noise():
  images = erased()
  gone = images[..., 0] != 100
  rows, columns = gone.any(axis=2).sum(axis=1), gone.any(axis=1).sum(axis=1)
  np.testing.assert_array_equal(rows * columns, gone.sum(axis=(1, 2)))
  noise = images[images != 100]
  assert noise.mean() == pytest.approx(0, abs=0.02)
  assert noise.std() == pytest.approx(1, abs=0.02)


def test_probability():
  assert (areas(erased(0.25)) > 0).mean() == pytest.approx(0.25, abs=0.05)
  assert not areas(erased(0.0)).any()


@pytest.mark.reference
def test_areas_and_shapes_are_distributed_as_timms():
  import random

  from timm.data.random_erasing import RandomErasing
  import torch

  random.seed(0)
  torch.manual_seed(0)
  erase = RandomErasing(1.0, mode='pixel', device='cpu')
  theirs = erase(torch.full((1000, 3, SIZE, SIZE), 100.0)).numpy()
  theirs = theirs.transpose(0, 2, 3, 1)
  for measure in (
    areas,
    lambda x: (x[..., 0] != 100).any(axis=2).sum(axis=1),
    lambda x: (x[..., 0] != 100).any(axis=2).argmax(axis=1),
  ):
    assert (
      scipy.stats.ks_2samp(measure(erased()), measure(theirs)).pvalue > 1e-3
    )


def test_other_views_and_rows_are_left_alone():
  def two_views(key, batch, axis_name):
    del key, axis_name
    return {**batch, 'views': (batch['image'], batch['image'])}

  batch = {'image': jnp.full((4, SIZE, SIZE, 3), 100.0)}
  out = Erase(augment=two_views, prob=1.0)(jax.random.key(0), batch)
  assert areas(np.asarray(out['views'][0])).all()
  np.testing.assert_array_equal(out['views'][1], batch['image'])


def test_probability_out_of_range_is_a_user_error():
  with pytest.raises(errors.UserError, match=r'Erase prob is 1\.5; it must'):
    Erase(augment=None, prob=1.5)
