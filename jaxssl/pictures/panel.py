"""A picture with what a reader must know of it."""

from collections.abc import Sequence
import dataclasses
import pathlib

import numpy as np

from jaxssl.pictures import grid


@dataclasses.dataclass(frozen=True, kw_only=True)
class Column:
  """Images of one kind, one per row of the panel.

  Attributes:
    title: what they are.
    images: uint8 [n, H, W, 3].
    captions: a line or lines below each image, or none at all.
    names: where each image is from, for example its file, or none at all; a
      page shows them, a PNG has no room.
    is_right: whether each image is what was looked for, None where nobody
      knows; or none at all. The frame says it.
  """

  title: str
  images: np.ndarray
  captions: Sequence[grid.Caption] = ()
  names: Sequence[str] = ()
  is_right: Sequence[bool | None] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Panel:
  """Columns of images, one row for each image that is looked at.

  Attributes:
    name: stem of its file.
    title: one line.
    text: what is seen and how it was made, a paragraph.
    columns: from left to right.
  """

  name: str
  title: str
  text: str
  columns: Sequence[Column]

  @property
  def alt(self) -> str:
    """What the picture shows, for who does not see it."""
    rows = len(self.columns[0].images)
    titles = ', '.join(column.title for column in self.columns)
    return f'{self.title}: a grid of {rows} rows, with columns {titles}.'


def save(panel: Panel, path: pathlib.Path) -> None:
  """Writes a panel as a PNG.

  Raises:
    jaxssl.errors.UserError: if Pillow is not installed.
  """
  pixels = grid.grid(
    [column.images for column in panel.columns],
    titles=[column.title for column in panel.columns],
    captions=[column.captions for column in panel.columns],
    is_right=[column.is_right for column in panel.columns],
  )
  grid.write_png(pixels, path)
