"""Position embeddings of a grid of patches: sin-cos tables, interpolation."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxssl import errors

_TEMPERATURE = 10000.0


def sincos_mae(height: int, width: int, dim: int) -> np.ndarray:
  """Sin-cos table of MAE and I-JEPA (mae/util/pos_embed.py).

  With `w_i = 10000^(-i / (D/4))` for i in [0, D/4), the row of the patch at
  column x and row y is `[sin(x w), cos(x w), sin(y w), cos(y w)]`.

  Args:
    height: rows of patches.
    width: columns of patches.
    dim: D, divisible by 4, at least 8.

  Returns:
    float32 [height * width, dim], patches in reading order.

  Raises:
    UserError: `dim` is not divisible by 4 or below 8.
  """
  y, x = _rows_and_columns(height, width)
  frequencies = _frequencies(dim, _quarter(dim))
  return _sincos(x, y, frequencies)


def sincos_moco(height: int, width: int, dim: int) -> np.ndarray:
  """Sin-cos table of MoCo v3 (moco-v3/vits.py).

  The frequencies of `sincos_mae`, but the row comes first:
  `[sin(y w), cos(y w), sin(x w), cos(x w)]`. The authors' code lays a grid
  that is not square out by columns; here patches are in reading order always.

  Args:
    height: rows of patches.
    width: columns of patches.
    dim: D, divisible by 4, at least 8.

  Returns:
    float32 [height * width, dim].

  Raises:
    UserError: `dim` is not divisible by 4 or below 8.
  """
  y, x = _rows_and_columns(height, width)
  frequencies = _frequencies(dim, _quarter(dim))
  return _sincos(y, x, frequencies)


def sincos_bigvision(height: int, width: int, dim: int) -> np.ndarray:
  """Sin-cos table of big_vision (models/vit.py, `posemb_sincos_2d`).

  The order of `sincos_mae` with `w_i = 10000^(-i / (D/4 - 1))`.

  Args:
    height: rows of patches.
    width: columns of patches.
    dim: D, divisible by 4, at least 8.

  Returns:
    float32 [height * width, dim].

  Raises:
    UserError: `dim` is not divisible by 4 or below 8.
  """
  y, x = _rows_and_columns(height, width)
  frequencies = _frequencies(dim, _quarter(dim) - 1)
  return _sincos(x, y, frequencies)


SINCOS: dict[str, Callable[[int, int, int], np.ndarray]] = {
  'sincos_mae': sincos_mae,
  'sincos_moco': sincos_moco,
  'sincos_bigvision': sincos_bigvision,
}


def is_fixed_table(table: np.ndarray | None, position: str) -> bool:
  """Returns whether a stored table is the fixed one that is computed anyway.

  Args:
    table: [1, 1 + n, D] as PyTorch checkpoints hold it, zeros for the class
      token first; or None.
    position: a key of `SINCOS`; no table is fixed under another name.
  """
  if table is None or position not in SINCOS:
    return False
  table = np.asarray(table, np.float32)
  if table.ndim != 3:
    return False
  side = round((table.shape[1] - 1) ** 0.5)
  if side * side != table.shape[1] - 1 or table.shape[2] % 4:
    return False
  fixed = SINCOS[position](side, side, table.shape[2])
  expected = np.concatenate([np.zeros_like(fixed[:1]), fixed])
  return np.allclose(table[0], expected, atol=1e-4)


def interpolate(
  table: jax.Array,
  old: tuple[int, int],
  new: tuple[int, int],
  *,
  antialias: bool = True,
) -> jax.Array:
  """Resizes the position table of a grid by a bicubic filter.

  With antialiasing equal to timm's `resample_abs_pos_embed` (Keys' kernel with
  a = -0.5, which PyTorch uses wherever it antialiases); without to the
  `interpolate_pos_encoding` of most models of transformers (a = -0.75).

  Args:
    table: [h * w, D] of patches in reading order.
    old: (h, w) of `table`.
    new: (h', w') wanted.
    antialias: widen the filter where the grid becomes smaller.

  Returns:
    float32 [h' * w', D]; `table` itself if the grids are equal.
  """
  if tuple(old) == tuple(new):
    return table
  dim = table.shape[-1]
  grid = jnp.asarray(table, jnp.float32).reshape(*old, dim)
  if antialias:
    resized = jax.image.resize(grid, (*new, dim), 'cubic', antialias=True)
  else:
    rows, columns = (_taps(o, n) for o, n in zip(old, new, strict=True))
    resized = jnp.einsum(
      'Hh,Ww,hwd->HWd', rows, columns, grid, precision='highest'
    )
  return resized.reshape(-1, dim)


def _taps(old: int, new: int) -> np.ndarray:
  """Returns the weights [new, old] of PyTorch's bicubic filter of four taps.

  Pixels beyond an edge are those of the edge.
  """
  place = (np.arange(new) + 0.5) * (old / new) - 0.5
  first = np.floor(place).astype(int) - 1
  weights = np.zeros((new, old))
  for tap in range(4):
    index = np.clip(first + tap, 0, old - 1)
    weight = _keys(np.abs(place - first - tap), a=-0.75)
    # Not `+=`: taps beyond an edge fall on one pixel, and add up.
    np.add.at(weights, (np.arange(new), index), weight)
  return weights.astype(np.float32)


def _keys(x: np.ndarray, *, a: float) -> np.ndarray:
  """Keys' cubic convolution kernel at distances x in [0, 2]."""
  near = (a + 2) * x**3 - (a + 3) * x**2 + 1
  far = a * (x**3 - 5 * x**2 + 8 * x - 4)
  return np.where(x <= 1, near, far)


def _quarter(dim: int) -> int:
  # Four parts, sine and cosine of both axes; big_vision's frequencies are
  # divided by D / 4 - 1.
  if dim % 4 or dim < 8:
    raise errors.UserError(
      f'sin-cos positions need a width divisible by 4 and at least 8, not {dim}'
    )
  return dim // 4


def _rows_and_columns(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
  y, x = np.mgrid[:height, :width]
  return y.reshape(-1), x.reshape(-1)


def _frequencies(dim: int, denominator: float) -> np.ndarray:
  return _TEMPERATURE ** (-np.arange(dim // 4, dtype=np.float64) / denominator)


def _sincos(
  first: np.ndarray, second: np.ndarray, frequencies: np.ndarray
) -> np.ndarray:
  parts = []
  for position in (first, second):
    # In float64, while tracing: the table is a constant of the step.
    angles = np.outer(position, frequencies)
    parts += [np.sin(angles), np.cos(angles)]
  return np.concatenate(parts, axis=1).astype(np.float32)
