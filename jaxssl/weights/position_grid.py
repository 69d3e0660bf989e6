"""The grid of patches that imported positions are stored for."""

from collections.abc import Mapping
import logging
import math
from typing import Any

import numpy as np

_log = logging.getLogger(__name__)
# Pixels that a modified ResNet of CLIP makes one of.
_STRIDE = 32
_SHARED = 'rel_pos_bias.relative_position_bias_table'


def with_grid(
  section: dict[str, Any], sides: tuple[int, int] | None
) -> dict[str, Any]:
  """Puts the grid of the positions into the section `encoder`.

  Tables of a 4 x 16 and an 8 x 8 grid have one shape, so the sides of the
  images tell which it is; and whether pixels are left over.

  Args:
    section: complete; its own `grid` wins.
    sides: height and width of the images that positions are stored for. None
      where the files do not say it: a square grid, which all releases have.
  """
  if section.get('grid') is not None or not section.get('patch_size'):
    return section
  if sides is None:
    return section
  patch = section['patch_size']
  rows, columns = (side // patch for side in sides)
  is_usual = rows == columns and not any(side % patch for side in sides)
  return section if is_usual else {**section, 'grid': (rows, columns)}


def image_side(
  named: Mapping[str, np.ndarray], section: Mapping[str, Any]
) -> int | None:
  """Returns the side of the images that stored positions are for, in pixels.

  Args:
    named: tensors of the encoder by timm's names.
    section: its section `encoder`, complete.

  Returns:
    None where nothing tells it: no positions, or of a grid that is no square.
  """
  patch = section.get('patch_size')
  if 'attnpool.pos_embed' in named:
    side = _root(_rows(named['attnpool.pos_embed']) - 1)
    return side and side * _STRIDE
  if not patch:
    return None
  if section.get('grid') is not None:
    rows, columns = section['grid']
    return rows * patch if rows == columns else None
  if _SHARED in named:  # (2 g - 1)^2 distances, and three for the class token
    side = _root(len(named[_SHARED]) - 3)
    return side and (side + 1) // 2 * patch
  if 'pos_embed' not in named:
    return None
  prefix = sum(_rows(named.get(n, ())) for n in ('cls_token', 'reg_token'))
  prefix *= section['prefix_positions']
  side = _root(_rows(named['pos_embed']) - prefix)
  return side and side * patch


def _rows(table: Any) -> int:
  """Returns N of a table [1, N, D]."""
  shape = np.shape(table)
  return shape[1] if len(shape) == 3 else 0


def _root(count: int) -> int | None:
  root = math.isqrt(max(count, 0))
  return root if root and root**2 == count else None


def tell(section: Mapping[str, Any], sides: tuple[int, int] | None) -> None:
  """Logs what was assumed of the positions of an imported encoder.

  Args:
    section: its section `encoder`.
    sides: see `with_grid`.
  """
  has_table = section.get('position') in ('learned', 'relative')
  if has_table and sides is None and section.get('grid') is None:
    _log.info(
      'positions are taken to be of a square grid of patches; if they are of '
      'another, give --config.encoder.grid=ROWS,COLUMNS'
    )
