"""Figures drawn into files, without a display and without global state."""

import os
from typing import Any

from jaxssl import atomic_file, errors
from jaxssl.paths import make_path
from jaxssl.printable import printable

_LONGEST_NAME = 60


def new_figure(width: float, height: float) -> Any:
  """Returns an empty matplotlib figure that no window manager knows.

  Args:
    width: inches.
    height: inches.

  Raises:
    jaxssl.errors.UserError: if matplotlib is not installed.
  """
  try:
    from matplotlib import figure
  except ImportError as error:
    raise errors.UserError(
      'pictures need matplotlib: pip install "jaxssl[pictures]"'
    ) from error
  # Not pyplot: it keeps every figure and picks a backend for the process.
  return figure.Figure(figsize=(width, height), layout='constrained')


def name(text: str) -> str:
  """Returns a name from data as a label that shows it letter by letter.

  To matplotlib dollars are mathematics, and a label that begins with an
  underscore is not meant for the legend. Names of more than 60 letters are cut.
  """
  if len(text) > _LONGEST_NAME:
    text = text[: _LONGEST_NAME - 3] + '...'
  text = printable(text).replace('$', r'\$')
  return f' {text}' if text.startswith('_') else text


def save(figure: Any, path: str | os.PathLike[str]) -> None:
  """Writes the figure at 150 dots an inch; the ending names the format.

  Raises:
    jaxssl.errors.UserError: if the file cannot be written.
  """
  try:
    path = make_path(path)
    ending = path.suffix.removeprefix('.')
    atomic_file.write(
      path, lambda file: figure.savefig(file, format=ending, dpi=150)
    )
  except errors.UserError:
    raise
  except ValueError as error:  # an ending that matplotlib does not know
    raise errors.UserError(f'cannot write the picture {path}: {error}') from (
      error
    )
