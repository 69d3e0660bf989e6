"""Images in columns and rows, pixel by pixel, with a few words."""

from collections.abc import Iterator, Sequence
import pathlib
from typing import Any

import numpy as np

from jaxssl import atomic_file, errors
from jaxssl.printable import printable

_GAP = 3
_SMALLEST_TILE = 128
_BACKGROUND = 255
_INK = (40, 40, 40)
_FONT_SIZES = (13, 11)  # the smaller one for what is too wide
_LINE, _AFTER = 18, 6  # pixels of a line, and below a caption
_RIGHT, _WRONG = (0, 158, 115), (213, 94, 0)

Column = Sequence[np.ndarray] | np.ndarray
Caption = str | tuple[str, ...]  # a line, or lines


def grid(
  columns: Sequence[Column],
  *,
  titles: Sequence[str] = (),
  captions: Sequence[Sequence[Caption]] = (),
  is_right: Sequence[Sequence[bool | None]] = (),
  heading: str = '',
) -> np.ndarray:
  """Puts images side by side, each in the middle of a square tile.

  Small images are enlarged by whole factors, pixel by pixel, so that nothing is
  smoothed over.

  Args:
    columns: uint8 images [n, H, W, 3] each, of any size.
    titles: one per column, or none.
    captions: for each column one text per image or none at all, a line or
      lines; a line that is wider than its tile is cut.
    is_right: for each column one answer per image or none at all: images that
      are right have a green frame, others an orange one; None: no frame.
    heading: a line above all.

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
  lines = [len(lines_of(text)) for column in captions for text in column]
  below = _LINE * max(lines) + _AFTER if any(lines) else 0
  frames = [*is_right, *[[]] * (len(columns) - len(is_right))]
  pixels = np.concatenate(
    [_stack(c, tile, below, f) for c, f in zip(columns, frames, strict=True)],
    axis=1,
  )
  above = _LINE * (bool(titles) + bool(heading))
  space = np.full((above, *pixels.shape[1:]), _BACKGROUND, np.uint8)
  pixels = np.concatenate([space, pixels])
  words = [*_captions(captions, tile, below, above)]
  middle = (tile + 2 * _GAP) / 2
  words += [
    (title, (2 * i + 1) * middle, above - _LINE / 2, tile)
    for i, title in enumerate(titles)
  ]
  if heading:
    width = pixels.shape[1]
    words.append((heading, width / 2, _LINE / 2, width))
  return _write_words(pixels, words) if words else pixels


def lines_of(caption: Caption) -> tuple[str, ...]:
  """Returns the lines of a caption; a line break in a text makes none."""
  return (caption,) if isinstance(caption, str) else caption


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


def _stack(
  images: Column, tile: int, below: int, is_right: Sequence[bool | None]
) -> np.ndarray:
  """Stacks tiles, a gap around each and room for a caption below it."""
  frames = is_right or [None] * len(images)
  return np.concatenate(
    [
      _cell(image, tile, below, frame)
      for image, frame in zip(images, frames, strict=True)
    ]
  )


def _cell(
  image: np.ndarray, tile: int, below: int, is_right: bool | None
) -> np.ndarray:
  factor = tile // max(image.shape[:2])
  image = image.repeat(factor, axis=0).repeat(factor, axis=1)
  height, width = image.shape[:2]
  side = tile + 2 * _GAP
  top, left = (side - height) // 2, (side - width) // 2
  cell = np.full((side + below, side, 3), _BACKGROUND, np.uint8)
  if is_right is not None:
    ends = slice(top - _GAP, top + height + _GAP)
    cell[ends, left - _GAP : left + width + _GAP] = (
      _RIGHT if is_right else _WRONG
    )
  cell[top : top + height, left : left + width] = image
  return cell


# Text, middle from left and top, and the width that it has.
_Words = tuple[str, float, float, int]


def _captions(
  captions: Sequence[Sequence[Caption]], tile: int, below: int, above: int
) -> Iterator[_Words]:
  side = tile + 2 * _GAP
  for i, column in enumerate(captions):
    for row, text in enumerate(column):
      top = above + row * (side + below) + side + _LINE / 2
      for line, words in enumerate(lines_of(text)):
        yield words, (i + 0.5) * side, top + line * _LINE, tile


def _write_words(pixels: np.ndarray, words: Sequence[_Words]) -> np.ndarray:
  image, image_draw, image_font = _pillow()
  fonts = [image_font.load_default(size) for size in _FONT_SIZES]
  picture = image.fromarray(pixels)
  draw = image_draw.Draw(picture)
  for text, x, y, width in words:
    # No letter is narrower than a pixel; a caption may be of any length.
    start = printable(text[: width + 1])
    fitting = (font for font in fonts if font.getlength(start) <= width)
    font = next(fitting, fonts[-1])
    shown = _cut(start, font, width)
    draw.text((x, y), shown, fill=_INK, font=font, anchor='mm')
  return np.asarray(picture)


def _cut(text: str, font: Any, width: int) -> str:
  if font.getlength(text) <= width:
    return text
  while text and font.getlength(text + '...') > width:
    text = text[:-1]
  return text + '...'
