"""Any folder of pictures."""

import os
from typing import Literal

import numpy as np

from jaxssl.data import decode, hold_out, order, places, sidecar
from jaxssl.data import labels as labels_lib
from jaxssl.data.captions import Captions
from jaxssl.data.labels import UNKNOWN
from jaxssl.data.source import Records, fingerprint
from jaxssl.errors import UserError

EXTENSIONS = ('.jpg', '.jpeg', '.jpe', '.jfif', '.png', '.webp', '.gif', '.bmp')

_SUBFOLDERS = {'train': ('train',), 'test': ('test', 'val', 'validation')}
_TRIED = 8
_HEADER_BYTES = 1 << 16


class Folder:
  """All pictures below a folder.

  A file counts as a picture by its extension (`EXTENSIONS`, in any case).
  Hidden files and folders are passed over. Links are followed, a folder is
  entered once. Files are sorted by path, so that the order does not depend on
  the file system.

  If every picture lies in a first-level subfolder, the subfolders are classes,
  numbered as `labels.number` does it; otherwise no picture has a label.

  Splits: if the folder has subfolders `train` and `test` (or `val`,
  `validation`), they are the splits and class folders lie inside them. If not,
  `test_fraction` of the pictures, chosen by a hash of the path below the
  folder, are for test; adding files moves no other file.

  Captions: with `captions='txt'`, `cat.jpg` is described by the file `cat.txt`
  beside it, one caption a line. Pictures without one are left out, as are
  captions without a picture; the log names some of both.

  Args:
    path: the folder, also of a store (`gs://...`).
    split: `'train'`, `'test'`, or `'all'`.
    test_fraction: share of the pictures that is held out, where there are no
      subfolders for the splits.
    captions: ending of the files with captions; None for no captions.

  Raises:
    UserError: if the folder is missing or empty, no picture among the first few
      is readable, or the split is unknown or empty.
  """

  content: Literal['paths', 'bytes']

  def __init__(
    self,
    path: str | os.PathLike[str],
    *,
    split: str = 'train',
    test_fraction: float = 0.0,
    captions: str | None = None,
  ):
    hold_out.check_split(split, test_fraction)
    root = places.place(path)
    if not root.is_dir():
      raise UserError(f'{root} is not a folder')
    inner = _split_folder(root, split)
    self._root = inner or root
    self.content = self._root.content
    files = sorted(self._root.files(EXTENSIONS))
    if not files:
      raise UserError(
        f'{self._root} has no pictures; known endings: {" ".join(EXTENSIONS)}'
      )
    labels, self.class_names = _classes(files, source=str(path))
    texts = self._read_captions(files, captions)
    files = list(texts or files)
    if inner is None:
      kept = hold_out.chosen(
        files, split, test_fraction=test_fraction, source=str(root)
      )
      files = [files[i] for i in kept.tolist()]
    self.name = str(path)
    self.captions = texts and Captions.from_texts(texts[f] for f in files)
    self._set_files(files, labels)
    self._check_readable()

  def _read_captions(
    self, files: list[str], ending: str | None
  ) -> dict[str, tuple[str, ...]] | None:
    if ending is None:
      return None
    ending = '.' + ending.lstrip('.')
    sidecars = set(self._root.files((ending,)))
    return sidecar.read(self._root, files, sidecars, ending=ending)

  def _set_files(self, files: list[str], labels: dict[str, int]):
    self.num_examples = len(files)
    # Bytes of a fixed width: one object for a hundred million names.
    self._files = np.array([os.fsencode(name) for name in files])
    found = (labels.get(_first_folder(name), UNKNOWN) for name in files)
    self._labels = np.fromiter(found, np.int32, len(files))
    self.fingerprint = fingerprint(
      '\n'.join(files).encode(errors='surrogateescape'),
      self._root.sizes(files),
      *(self.captions.arrays.values() if self.captions else ()),
    )

  def _check_readable(self):
    names = [os.fsdecode(name) for name in self._files[:_TRIED].tolist()]
    headers = self._root.read(names, most=_HEADER_BYTES)
    if not any(map(decode.is_readable, headers)):
      raise UserError(
        f'{self._root}: none of the first {len(names)} pictures can be read'
      )

  def fetch(self, indices: np.ndarray) -> Records:
    """Returns records; see `source.Source`."""
    return Records(
      content=self._root.records(self._files[indices].tolist()),
      label=self._labels[indices],
    )

  def locate(
    self, positions: np.ndarray, *, seed: int
  ) -> tuple[np.ndarray, np.ndarray]:
    """Returns `(epoch, index)`; see `source.Source`."""
    return order.locate(positions, num_examples=self.num_examples, seed=seed)

  def describe(self, index: int) -> str:
    """Returns the name of a file."""
    return self._root.describe(os.fsdecode(self._files[index]))


def _split_folder(root: places.Place, split: str) -> places.Place | None:
  found = {
    key: [root / name for name in names if (root / name).is_dir()]
    for key, names in _SUBFOLDERS.items()
  }
  if split == 'all' or not all(found.values()):
    return None
  return found[split][0]


def _first_folder(name: str) -> str:
  return name.split(os.sep, 1)[0]


def _classes(
  files: list[str], *, source: str
) -> tuple[dict[str, int], tuple[str, ...] | None]:
  """Returns the label of each first-level subfolder, and the classes' names."""
  if any(os.sep not in name for name in files):
    return {}, None
  folders = sorted({_first_folder(name) for name in files})
  numbers, names = labels_lib.number(folders, source=source)
  return dict(zip(folders, numbers.tolist(), strict=True)), names
