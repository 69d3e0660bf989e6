"""Images in columns and rows, pixel by pixel, with a few words."""

from collections.abc import Sequence
import pathlib
from typing import Any

import numpy as np

from jaxssl import atomic_file, errors
from jaxssl.printable import printable

_GAP = 2
_SMALLEST_TILE = 96
_BACKGROUND = 255
_INK = (40, 40, 40)
_FONT_SIZE = 13
_LINE = 18

Column = Sequence[np.ndarray] | np.ndarray


def grid(
  columns: Sequence[Column],
  *,
  titles: Sequence[str] = (),
  captions: Sequence[Sequence[str]] = (),
) -> np.ndarray:
  """Puts images side by side, each in the middle of a square tile.

  Small images are enlarged by whole factors, pixel by pixel, so that nothing is
  smoothed over.

  Args:
    columns: uint8 images [n, H, W, 3] each, of any size.
    titles: one per column, or none.
    captions: for each column one text per image or none at all; a text that is
      wider than its tile is cut.

  Returns:
    uint8 [height, width, 3].

  Raises:
    jaxssl.errors.UserError: columns of different lengths, or Pillow, which
      writes the words, is not installed.
  """
  lengths = [len(column) for column in columns]
  if len(set(lengths)) != 1:
    raise errors.UserError(
      f'a grid needs as many rows of each view as of images, not {lengths}'
    )
  sides = {max(image.shape[:2]) for column in columns for image in column}
  tile = max(side * -(-_SMALLEST_TILE // side) for side in sides)
  below = _LINE if any(map(len, captions)) else 0
  pixels = np.concatenate([_stack(c, tile, below) for c in columns], axis=1)
  if titles:
    space = np.full((_LINE, *pixels.shape[1:]), _BACKGROUND, np.uint8)
    pixels = np.concatenate([space, pixels])
  words = [(title, i, -1) for i, title in enumerate(titles)]
  words += [
    (text, i, row)
    for i, column in enumerate(captions)
    for row, text in enumerate(column)
  ]
  return _write_words(pixels, words, tile, below) if words else pixels


def write_png(pixels: np.ndarray, path: pathlib.Path) -> None:
  """Writes uint8 [H, W, 3] as a PNG.

  Raises:
    jaxssl.errors.UserError: if Pillow is not installed, or the file cannot be
      written.
  """
  image, _, _ = _pillow()
  picture = image.fromarray(pixels)
  atomic_file.write(
    path, lambda file: picture.save(file, format='PNG', optimize=True)
  )


def _pillow() -> tuple[Any, Any, Any]:
  try:
    from PIL import Image, ImageDraw, ImageFont
  except ImportError as error:
    raise errors.UserError(
      'writing pictures needs Pillow: pip install "jaxssl[data]"'
    ) from error
  return Image, ImageDraw, ImageFont


def _stack(images: Column, tile: int, below: int) -> np.ndarray:
  """Stacks tiles, a gap around each and room for a caption below it."""
  return np.concatenate([_cell(image, tile, below) for image in images])


def _cell(image: np.ndarray, tile: int, below: int) -> np.ndarray:
  factor = tile // max(image.shape[:2])
  image = image.repeat(factor, axis=0).repeat(factor, axis=1)
  height, width = image.shape[:2]
  side = tile + 2 * _GAP
  top, left = (side - height) // 2, (side - width) // 2
  cell = np.full((side + below, side, 3), _BACKGROUND, np.uint8)
  cell[top : top + height, left : left + width] = image
  return cell


def _write_words(
  pixels: np.ndarray,
  words: Sequence[tuple[str, int, int]],
  tile: int,
  below: int,
) -> np.ndarray:
  """Writes each (text, column, row) in the middle under its tile.

  The row above the first, -1, holds the titles.
  """
  side = tile + 2 * _GAP
  titled = any(row < 0 for _, _, row in words)
  image, image_draw, image_font = _pillow()
  font = image_font.load_default(_FONT_SIZE)
  picture = image.fromarray(pixels)
  draw = image_draw.Draw(picture)
  for text, column, row in words:
    bottom = titled * _LINE + (row + 1) * (side + below)
    middle = column * side + side / 2, bottom - _LINE / 2
    shown = _cut(text, font, tile)
    draw.text(middle, shown, fill=_INK, font=font, anchor='mm')
  return np.asarray(picture)


def _cut(text: str, font: Any, width: int) -> str:
  # No letter is narrower than a pixel; a caption may be of any length.
  text = printable(text[: width + 1])
  if font.getlength(text) <= width:
    return text
  while text and font.getlength(text + '...') > width:
    text = text[:-1]
  return text + '...'
