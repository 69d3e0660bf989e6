"""The pictures that a path, or several, stand for.

A path is a folder, a picture, a pattern (`a/*.jpg`), or a `.txt` file with a
path a line. All that is chosen becomes files below one folder, with what their
folders mean, so that labels, splits and hashes are those of a single folder.
"""

from collections.abc import Iterable, Sequence
import dataclasses
import glob
import io
import os
import posixpath

from jaxssl import nearest
from jaxssl.data import formats, layout, not_read, places, remote
from jaxssl.data.formats import EXTENSIONS, UNREAD
from jaxssl.data.misspelt import folders_like
from jaxssl.data.scattered import store_of
from jaxssl.errors import UserError
from jaxssl.paths import is_remote

LIST_ENDING = '.txt'
_PICTURES = (*EXTENSIONS, *UNREAD)
MISSING = 'paths of a list that are not there'
ELSEWHERE = 'paths of a list in another store than the list'

Paths = str | os.PathLike[str] | Sequence[str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chosen:
  """Pictures below a folder.

  Attributes:
    root: the folder.
    files: paths below it, sorted.
    meaning: of each folder below it that holds some of them.
    skipped: what is wrong -> paths that are left out.
    whole: whether they are all pictures below the folder.
  """

  root: places.Place
  files: list[str]
  meaning: dict[str, layout.Meaning]
  skipped: dict[str, list[str]]
  whole: bool = False


def is_pattern(path: str) -> bool:
  """Whether a path is a pattern, and not the name of something."""
  there = not is_remote(path) and os.path.exists(os.path.expanduser(path))
  return glob.has_magic(path) and not there


def is_chosen(path: str) -> bool:
  """Whether a path stands for pictures, by its form or what lies there."""
  ending = os.path.splitext(path)[1].lower()
  if is_pattern(path) or ending in (LIST_ENDING, *_PICTURES):
    return True
  if is_remote(path):
    return places.place(path).is_dir()
  return os.path.isdir(os.path.expanduser(path))


def several(paths: Paths) -> list[str]:
  """Returns one or several paths as a list."""
  if isinstance(paths, str | os.PathLike):
    return [os.fspath(paths)]
  return [os.fspath(path) for path in paths]


def name_of(paths: Paths) -> str:
  """Returns what messages call one or several paths."""
  names = several(paths)
  if len(names) < 2:
    return ''.join(names)
  return f'{names[0]} and {len(names) - 1} more'


def find(paths: Paths) -> Chosen:
  """Returns the pictures of one or several paths.

  The folders of several paths mean what they mean below the folder that holds
  all of them, with one exception: folders that have subfolders of their own are
  laid over one another, so that `a/cat` and `b/cat` are the class cat.

  Args:
    paths: of this machine, or all of one store.

  Raises:
    UserError: if one of them is not there, or there are no pictures.
  """
  names = several(paths)
  if not names:
    raise UserError('the list of folders and pictures is empty')
  if len(names) == 1 and (root := places.place(names[0])).is_dir():
    files = sorted(root.files(_PICTURES))
    chosen = Chosen(root=root, files=files, meaning={}, skipped={}, whole=True)
  else:
    chosen = _joined(names)
  files, left = formats.sort_out(chosen.files)
  if not files:
    why = _why(left, names)
    raise UserError(f'{name_of(paths)} has no pictures; {why}')
  meaning = chosen.meaning or layout.read(set(map(os.path.dirname, files)))
  return dataclasses.replace(
    chosen, files=files, meaning=meaning, skipped={**chosen.skipped, **left}
  )


def _why(left: dict[str, list[str]], names: Sequence[str]) -> str:
  """Returns why paths have no pictures."""
  if left:
    return '; '.join(f'{len(p)} are {fault}' for fault, p in left.items())
  folders = filter(lambda place: place.is_dir(), map(places.place, names))
  advice = filter(None, map(not_read.of_folder, folders))
  return next(advice, f'known endings: {" ".join(EXTENSIONS)}')


def _joined(names: Sequence[str]) -> Chosen:
  """Returns the pictures of several paths, below a folder that holds all."""
  store = _one_store(names)
  found = _Found()
  for name in names:
    found.add(places.absolute(name))
  parents = [*found.folders, *map(os.path.dirname, found.files)]
  home = _common(parents, store)
  root = places.place(home)
  _refuse_nested(sorted(found.folders))
  below = [_below(home, path) for path in found.folders]
  tops = {folder: set(root.files(_PICTURES, below=folder)) for folder in below}
  files = set().union(*tops.values())
  # A folder of what is not read means nothing.
  tops = {folder: set(formats.sort_out(own)[0]) for folder, own in tops.items()}
  named = {_below(home, path) for path in found.files}
  if is_remote(home):
    root.existing(named)  # notes their sizes
  return Chosen(
    root=root,
    files=sorted(files | named),
    meaning={} if named else _laid_over(tops),
    skipped={fault: each for fault, each in found.skipped.items() if each},
  )


def _laid_over(tops: dict[str, set[str]]) -> dict[str, layout.Meaning]:
  """Returns what subfolders of folders mean; nothing if they have none.

  Args:
    tops: folder -> files in it, as paths below a common one.
  """
  inner = {
    # Of one folder alone, both may be empty.
    folder: os.path.relpath(folder or '.', top or '.')
    for top, files in tops.items()
    for folder in map(os.path.dirname, files)
  }
  if not inner:
    return {}
  # `data/train` and `data/test`, or `data/cat` and `data/dog`.
  as_one = layout.read(set(inner))
  if set(inner.values()) <= {'.'} or any(m.split for m in as_one.values()):
    return as_one
  inner = {folder: '' if own == '.' else own for folder, own in inner.items()}
  meaning = layout.read(set(inner.values()))
  return {folder: meaning[own] for folder, own in inner.items()}


class _Found:
  """What paths stand for, absolute."""

  def __init__(self) -> None:
    self.folders: dict[str, None] = {}
    self.files: dict[str, None] = {}
    self.skipped: dict[str, list[str]] = {MISSING: [], ELSEWHERE: []}

  def add(self, path: str) -> None:
    """Adds what a path stands for.

    Raises:
      UserError: if it stands for nothing.
    """
    if is_pattern(path):
      self._add_matches(path)
    elif places.place(path).is_dir():
      self.folders[path.rstrip('/')] = None
    elif not _is_file(path):
      hint = nearest.question(folders_like(path))
      raise UserError(
        f'{path} is neither a folder nor a file' + (hint and f'; {hint}')
      )
    elif path.lower().endswith(LIST_ENDING):
      self._add_list(path)
    else:
      self.files[path] = None

  def _add_matches(self, pattern: str) -> None:
    if is_remote(pattern):
      files = remote.filesystem(pattern)
      found = [files.unstrip_protocol(each) for each in files.glob(pattern)]
    else:
      found = glob.glob(pattern, recursive=True)
    pictures = [path for path in found if path.lower().endswith(_PICTURES)]
    self.files |= dict.fromkeys(pictures)
    others = set(found) - set(pictures)
    # `**` gives folders too, whose pictures it gives itself.
    folders = (
      [] if pictures else [p for p in others if places.place(p).is_dir()]
    )
    self.folders |= dict.fromkeys(folders)
    if not pictures and not folders:
      raise UserError(f'{pattern} matches no picture and no folder')

  def _add_list(self, path: str) -> None:
    home = os.path.dirname(path)
    paths = [_beside(home, line) for line in _lines(path)]
    # A list does not choose which hosts are contacted.
    own = [each for each in paths if store_of(each) == store_of(path)]
    self.skipped[ELSEWHERE] += sorted(set(paths) - set(own))
    exist = places.place(store_of(path) or '/').existing(own)
    for each in own:
      if each in exist:
        self.files[each] = None
      elif places.place(each).is_dir():
        self.folders[each.rstrip('/')] = None
      else:
        self.skipped[MISSING].append(each)
    if not exist and not self.folders:
      raise UserError(
        f'{path} names no picture that is there, a path a line, such as '
        f'{paths[0] if paths else "cat.jpg"}'
      )


def _is_file(path: str) -> bool:
  if is_remote(path):
    return remote.filesystem(path).isfile(path)
  return os.path.isfile(path)


def _lines(path: str) -> list[str]:
  try:
    with (
      remote.open_binary(path) as opened,
      io.TextIOWrapper(opened, encoding='utf-8-sig') as file,
    ):
      return [line for line in map(str.strip, file) if line]
  except (OSError, UnicodeDecodeError) as error:
    raise UserError(f'{path} cannot be read: {error}') from error


def _beside(home: str, path: str) -> str:
  """Returns a path of a list, which may be relative to the list."""
  if is_remote(path):
    return path
  if is_remote(home):
    return posixpath.join(home, path)
  return os.path.abspath(os.path.join(home, os.path.expanduser(path)))


def _below(home: str, path: str) -> str:
  return path.removeprefix(home).lstrip('/') or os.curdir


def _one_store(paths: Iterable[str]) -> str:
  stores = sorted(set(map(store_of, paths)))
  if len(stores) > 1:
    raise UserError(
      'pictures of several stores are a mixture of sources, not one: '
      + ', '.join(store or 'this machine' for store in stores)
    )
  return stores[0]


def _common(folders: Sequence[str], store: str) -> str:
  """Returns the folder that holds all folders, which are of one store."""
  bare = [folder.removeprefix(store) or '/' for folder in folders]
  return store + os.path.commonpath(bare)


def _refuse_nested(folders: Sequence[str]) -> None:
  """Raises `UserError` if a folder lies in another one of a sorted list."""
  for one in folders:
    for other in folders:
      if other.startswith(f'{one}/'):
        raise UserError(f'{other} lies in {one}, which is given too')
