"""The configs that come with jaxssl, by name.

They lie in `configs/` of a checkout, and in the package of an installed wheel.
"""

import ast
import os
import pathlib

from jaxssl import nearest
from jaxssl.errors import UserError

_PACKAGE = pathlib.Path(__file__).resolve().parents[1]
_SUFFIX = '.py'


def configs() -> dict[str, pathlib.Path]:
  """Returns the files by name, sorted."""
  packaged = _PACKAGE / 'shipped_configs'
  folder = packaged if packaged.is_dir() else _PACKAGE.parent / 'configs'
  return {path.stem: path for path in sorted(folder.glob(f'*{_SUFFIX}'))}


def summary(path: pathlib.Path) -> str:
  """Returns the first line of the docstring of a config file."""
  text = ast.get_docstring(ast.parse(path.read_text(encoding='utf-8'))) or ''
  return text.partition('\n')[0].rstrip('.')


def argument(path: pathlib.Path) -> str | None:
  """Returns what stands behind the colon of a config, None for nothing."""
  for node in ast.parse(path.read_text(encoding='utf-8')).body:
    if isinstance(node, ast.FunctionDef) and node.name == 'get_config':
      return node.args.args[0].arg if node.args.args else None
  return None


def split(path: str | os.PathLike[str]) -> tuple[str, str | None]:
  """Splits `FILE:ARGUMENT` at its last colon.

  Args:
    path: path of a file, which may have colons in its name, or a name.

  Returns:
    The path or name, and the argument; None without a colon.
  """
  text = os.fspath(path)
  place, colon, found = text.rpartition(':')
  if not colon or pathlib.Path(text).is_file():
    return text, None
  return place, found


def find(path: str | os.PathLike[str]) -> pathlib.Path:
  """Returns a config file.

  Args:
    path: path of a file, which wins, or the name of a shipped config.

  Raises:
    UserError: if it is neither.
  """
  path = pathlib.Path(path)
  if path.is_file():
    return path
  shipped = configs()
  if path.is_dir() and str(path) not in shipped:
    raise UserError(f'config {str(path)!r} is a folder; give a file')
  if path.name != str(path) or path.suffix == _SUFFIX:
    hint = f'; give the name {path.stem!r}' if path.stem in shipped else ''
    raise UserError(f'config file {str(path)!r} does not exist{hint}')
  if path.name not in shipped:
    hint = nearest.hint(path.name, shipped)
    hint = hint or '`jaxssl config --list` has those that come along'
    raise UserError(f'config {path.name!r} does not exist; {hint}')
  return shipped[path.name]
