"""The grid of patches that imported positions are stored for."""

from collections.abc import Mapping
import logging
from typing import Any

_log = logging.getLogger(__name__)


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
