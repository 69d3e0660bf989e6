"""Which folder of a picture names its split, and which one its class."""

from collections.abc import Iterable, Sequence
import dataclasses
import os
from typing import Literal

TRAIN = 'train'
TESTS = ('test', 'val', 'validation')  # the first that is there
SPLITS = (TRAIN, *TESTS)

Folders = tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Meaning:
  """What the pictures of a folder are.

  Attributes:
    split: the split they belong to; None for neither.
    label: the class they belong to; None if they have none.
  """

  split: Literal['train', 'test'] | None = None
  label: str | None = None


def read(folders: Iterable[str]) -> dict[str, Meaning]:
  """Returns what the folders of a data set mean.

  Folders that hold all pictures mean nothing: `images/cat` and `images/dog` are
  cat and dog. If `train` and `test` (or `val`, `validation`) stand at the first
  level below them, they are the splits. Classes are the level below the splits,
  or else the first level at which folders differ; they are the same for all
  splits. Where a picture of a split lies in no class, the split has no labels.

  Args:
    folders: every folder that holds a picture, as a path below the root; `''`
      is the root itself.

  Returns:
    folder -> meaning.
  """
  paths = {folder: _parts(folder) for folder in folders}
  depth = len(_parts(os.path.commonpath(paths)))
  firsts = {path[depth] for path in paths.values() if len(path) > depth}
  test = next((name for name in TESTS if name in firsts), None)
  if TRAIN not in firsts or test is None:
    labels = _labels(list(paths.values()), depth)
    return {f: Meaning(label=labels.get(p)) for f, p in paths.items()}
  labels = _labels_of_splits(list(paths.values()), depth)
  names: dict[str, Literal['train', 'test']] = {TRAIN: 'train', test: 'test'}
  return {
    folder: Meaning(
      split=names.get(path[depth]) if len(path) > depth else None,
      label=labels.get(path),
    )
    for folder, path in paths.items()
  }


def _parts(folder: str) -> Folders:
  return tuple(folder.split(os.sep)) if folder else ()


def _labels_of_splits(
  paths: Sequence[Folders], depth: int
) -> dict[Folders, str]:
  """Returns folder -> class, for the splits in which every picture has one."""
  labelled: list[Folders] = []
  for name in SPLITS:
    split = [path for path in paths if path[depth : depth + 1] == (name,)]
    if all(len(path) > depth + 1 for path in split):
      labelled += split
  depth += 1
  # `train/images/cat`, `test/images/cat`: but the last level is the class, even
  # if there is only one.
  while len({p[depth] for p in labelled}) == 1 and all(
    len(path) > depth + 1 for path in labelled
  ):
    depth += 1
  return _labels(labelled, depth)


def _labels(paths: Sequence[Folders], depth: int) -> dict[Folders, str]:
  """Returns folder -> class, if every picture lies in a folder at the depth."""
  if any(len(path) <= depth for path in paths):
    return {}
  return {path: path[depth] for path in paths}
