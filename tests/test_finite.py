import numpy as np
import pytest

from jaxssl import finite
from jaxssl.errors import UserError


@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
def test_rows_that_are_not_finite_are_counted_and_the_first_named(value):
  rows = np.zeros((5, 3), np.float32)
  rows[[2, 4], 1] = value
  with pytest.raises(UserError, match=r'^texts are .* 2 of 5 rows.* row 2'):
    finite.require_rows(rows, 'texts')


@pytest.mark.parametrize('shape', [(0, 3), (4, 3), (4, 2, 2)])
def test_finite_rows_of_any_shape_pass(shape):
  finite.require_rows(np.ones(shape), 'rows')


@pytest.mark.parametrize('dtype', ['float32', 'float16', 'bfloat16'])
def test_weights_that_are_not_finite_are_named_and_counted(dtype):
  import ml_dtypes  # noqa: F401  names bfloat16

  good, bad = np.ones(4, dtype), np.array([1, np.nan, np.inf], dtype)
  towers = {'encoder': {'params': {'a': good, 'b': bad}}, 'text': {'c': bad}}
  with pytest.raises(UserError) as refused:
    finite.require_weights(towers)
  line = str(refused.value)
  assert 'encoder.params.b: 2 of 3 numbers; text.c: 2 of 3 numbers' in line
  assert 'params.a' not in line


def test_whole_numbers_and_finite_weights_pass():
  finite.require_weights({'encoder': {'a': np.arange(3), 'b': np.ones(2)}})
