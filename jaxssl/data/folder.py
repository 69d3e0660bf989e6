"""Any folders of pictures."""

from collections.abc import Sequence
import os

import numpy as np

from jaxssl.data import (
  chosen,
  formats,
  hold_out,
  layout,
  raster,
  sidecar,
)
from jaxssl.data import labels as labels_lib
from jaxssl.data.captions import Captions, warn_skipped
from jaxssl.data.labelled_files import LabelledFiles
from jaxssl.data.labels import UNKNOWN
from jaxssl.data.picture_files import PictureFiles
from jaxssl.errors import UserError

OTHER_SPLIT = 'pictures in the folder of neither split'

_TRIED = 8
_HEADER_BYTES = 1 << 16


class Folder(LabelledFiles):
  """All pictures below a folder, or below several.

  A file counts as a picture by its extension (`formats.EXTENSIONS`, in any
  case), unless it is named by itself, or in a list.
  Hidden files and folders are passed over. Links are followed, a folder is
  entered once. Files are sorted by path, so that the order does not depend on
  the file system.

  Folders that hold all pictures (`images/...`) mean nothing. Below them, the
  first level of folders are the classes, if every picture lies in one of at
  least two, numbered as `labels.number` does it; otherwise no picture has a
  label.

  Splits: if that level has `train` and `test` (or `val`, `validation`), they
  are the splits, and the level below are the classes: one list for all splits.
  If not, `test_fraction` of the pictures of each class are for test, chosen by
  a hash of their content (`hold_out.of_each_class`): copies stay together.

  Captions: with `captions='txt'`, `cat.jpg` is described by the file `cat.txt`
  beside it, one caption a line. Pictures without one are left out, as are
  captions without a picture; the log names some of both.

  Args:
    path: one or several of: a folder, also of a store (`gs://...`); a picture;
      a pattern (`a/*.jpg`); a `.txt` file with a path a line, relative to it.
    split: `'train'`, `'test'`, or `'all'`.
    test_fraction: share of the pictures that is held out, where there are no
      subfolders for the splits.
    captions: ending of the files with captions; None for no captions.

  Attributes:
    skipped: what is wrong -> how many files are left out for it.
    num_held_out: how many pictures `test_fraction` leaves for test.

  Raises:
    UserError: if a path is missing, there are no pictures, none among the first
      few is readable, or the split is unknown or empty.
  """

  def __init__(
    self,
    path: str | os.PathLike[str] | Sequence[str],
    *,
    split: str = 'train',
    test_fraction: float = 0.0,
    captions: str | None = None,
  ):
    hold_out.check_split(split, test_fraction)
    found = chosen.find(path)
    self._root, files, meaning = found.root, found.files, found.meaning
    self.name = chosen.name_of(path)
    self.skipped: dict[str, int] = {}
    self._leave_out(found.skipped)
    has_splits = any(m.split for m in meaning.values())
    if has_splits and split != 'all':
      files = self._of_split(files, meaning, split)
    texts = self._read_captions(files, captions, found)
    files = list(texts or files)
    self.num_held_out = 0
    if not has_splits:
      kept = hold_out.of_each_class(
        files,
        [meaning[os.path.dirname(name)].label for name in files],
        split,
        test_fraction=test_fraction,
        read=self._root.reader(files),
        source=self.name,
      )
      self.num_held_out = hold_out.num_held_out(len(files), kept, split)
      files = [files[i] for i in kept.tolist()]
    self.captions = (
      Captions.from_texts(texts[name] for name in files) if texts else None
    )
    self._files = PictureFiles(self._root, files)
    self.num_examples = len(files)
    self._set_labels(files, meaning)
    self._check_readable(files[:_TRIED])

  def _of_split(
    self, files: list[str], meaning: dict[str, layout.Meaning], split: str
  ) -> list[str]:
    splits = [meaning[os.path.dirname(name)].split for name in files]
    pairs = list(zip(files, splits, strict=True))
    others = {OTHER_SPLIT: [name for name, own in pairs if own is None]}
    self._leave_out(others)
    return [name for name, own in pairs if own == split]

  def _leave_out(self, found: dict[str, list[str]]) -> None:
    """Counts and names what is not read."""
    self.skipped |= {fault: len(names) for fault, names in found.items()}
    warn_skipped(self.name, found)

  def _read_captions(
    self,
    files: list[str],
    ending: str | None,
    found: chosen.Chosen,
  ) -> dict[str, tuple[str, ...]] | None:
    if ending is None:
      return None
    ending = '.' + ending.lstrip('.')
    if found.whole:
      folders = {os.path.dirname(name) for name in files}
      others = found.meaning.keys() - folders  # of the other split
      sidecars = {
        name
        for name in self._root.files((ending,))
        if os.path.dirname(name) not in others
      }
      left = (name for names in found.skipped.values() for name in names)
      sidecars -= {os.path.splitext(name)[0] + ending for name in left}
    else:
      beside = (os.path.splitext(name)[0] + ending for name in files)
      sidecars = self._root.existing(beside)
    texts, skipped = sidecar.read(self._root, files, sidecars, ending=ending)
    self._leave_out(skipped)
    return texts

  def _set_labels(
    self, files: list[str], meaning: dict[str, layout.Meaning]
  ) -> None:
    names = sorted({m.label for m in meaning.values() if m.label is not None})
    numbers, classes = labels_lib.number(names, source=self.name)
    label_of = dict(zip(names, numbers.tolist(), strict=True))
    found = (meaning[os.path.dirname(name)].label for name in files)
    labels = (label_of.get(name or '', UNKNOWN) for name in found)
    self._labels = np.fromiter(labels, np.int32, len(files))
    # The other split may have labels where this one has none.
    self.class_names = classes if (self._labels != UNKNOWN).any() else None

  def _check_readable(self, names: list[str]) -> None:
    # Some formats (TIFF, AVIF) say what they are at the end of the file.
    contents: list[bytes] = []
    for most in (_HEADER_BYTES, None):
      contents = list(self._root.read(names, most=most))
      if any(map(raster.header, contents)):
        return
    faults = filter(None, map(formats.advice, contents))
    raise UserError(
      f'{self.name}: none of the first {len(names)} pictures can be read'
      + ''.join(f': {fault}' for fault in [*faults][:1])
    )
