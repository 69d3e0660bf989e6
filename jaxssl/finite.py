"""Numbers that are finite, the precondition of all that compares them.

No comparison with NaN is true: sorted or searched, it can come out first, and
an evaluation would call it the best. So what is not finite is refused where it
appears, with a line that names it.
"""

from collections.abc import Mapping
from typing import Any

from flax import traverse_util
import jax.numpy as jnp
import numpy as np

from jaxssl.errors import UserError

_NAMED = 3
_PART = 4096  # rows


def require_rows(rows: Any, what: str) -> None:
  """Refuses rows of which a number is not finite.

  Args:
    rows: float [n, ...].
    what: what they are, for the message, for example `'features'`.

  Raises:
    UserError: says how many rows it is, and which is the first.
  """
  rows = np.asarray(rows)
  good = np.empty(len(rows), bool)
  # A part at a time: a table of a million rows has a billion answers.
  for first in range(0, len(rows), _PART):
    part = np.isfinite(rows[first : first + _PART])
    good[first : first + _PART] = part.all(axis=tuple(range(1, rows.ndim)))
  if not good.all():
    raise UserError(
      f'{what} are not finite in {(~good).sum()} of {len(rows)} rows (first: '
      f'row {good.argmin()}); the training has diverged or the weights are '
      'damaged, use an earlier checkpoint or other weights'
    )


def require_weights(towers: Mapping[str, Any]) -> None:
  """Refuses weights of which a number is not finite.

  Args:
    towers: Flax variables by name of the tower; whole numbers are left alone.

  Raises:
    UserError: names the first tensors, and how many of their numbers it is.
  """
  wrong = []
  for name, tensor in traverse_util.flatten_dict(dict(towers), sep='.').items():
    array = np.asarray(tensor)
    if jnp.issubdtype(array.dtype, jnp.inexact):
      count = array.size - np.count_nonzero(np.isfinite(array))
      wrong += [f'{name}: {count} of {array.size} numbers'] if count else []
  if wrong:
    more = len(wrong) - _NAMED
    raise UserError(
      f'weights are not finite ({"; ".join(wrong[:_NAMED])}'
      + (f'; {more} more tensors' if more > 0 else '')
      + '); use an earlier checkpoint or other weights'
    )
