import math

import chex
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import errors
from jaxssl.models import positions


def _entry(convention, row, column, dim, i):
  """Returns one number of a table, from the definition in METHODS order."""
  quarter = dim // 4
  part, k = divmod(i, quarter)
  steps = quarter - 1 if convention == 'sincos_bigvision' else quarter
  first, second = column, row
  if convention == 'sincos_moco':
    first, second = row, column
  angle = (first if part < 2 else second) / 10000 ** (k / steps)
  return math.sin(angle) if part % 2 == 0 else math.cos(angle)


@pytest.mark.parametrize('convention', positions.SINCOS)
def test_table_equals_its_definition(convention):
  height, width, dim = 3, 5, 16
  expected = [
    [_entry(convention, row, column, dim, i) for i in range(dim)]
    for row in range(height)
    for column in range(width)
  ]
  table = positions.SINCOS[convention](height, width, dim)
  chex.assert_trees_all_close(table, np.float32(expected), atol=1e-6)
  assert table.dtype == np.float32


@pytest.mark.parametrize('convention', positions.SINCOS)
@pytest.mark.parametrize('dim', [4, 18])
def test_widths_that_do_not_fit_are_user_errors(convention, dim):
  with pytest.raises(errors.UserError, match='divisible by 4'):
    positions.SINCOS[convention](2, 2, dim)


def test_interpolation_to_the_same_grid_is_the_table():
  table = jnp.arange(24.0).reshape(6, 4)
  assert positions.interpolate(table, (2, 3), (2, 3)) is table


@pytest.mark.reference
@pytest.mark.parametrize('new', [(4, 4), (10, 3), (14, 21), (6, 8)])
def test_interpolation_equals_timm(new):
  from timm.layers import resample_abs_pos_embed
  import torch

  table = np.random.default_rng(0).standard_normal((48, 5), np.float32)
  theirs = resample_abs_pos_embed(
    torch.from_numpy(table)[None],
    new_size=list(new),
    old_size=[6, 8],
    num_prefix_tokens=0,
  )
  ours = positions.interpolate(table, (6, 8), new)
  # Weights of up to 8 taps computed in another order, float32.
  chex.assert_trees_all_close(ours, theirs[0].numpy(), atol=1e-5)


@pytest.mark.reference
@pytest.mark.parametrize('new', [(4, 4), (10, 3), (14, 21)])
def test_interpolation_without_antialiasing_equals_pytorch(new):
  import torch

  table = np.random.default_rng(0).standard_normal((48, 5), np.float32)
  theirs = torch.nn.functional.interpolate(
    torch.from_numpy(table.T.reshape(1, 5, 6, 8).copy()),
    size=new,
    mode='bicubic',
    align_corners=False,
  )
  ours = positions.interpolate(table, (6, 8), new, antialias=False)
  chex.assert_trees_all_close(
    ours.reshape(*new, 5), theirs[0].numpy().transpose(1, 2, 0), atol=1e-5
  )
