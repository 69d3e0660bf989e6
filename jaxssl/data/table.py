"""Image-text pairs in a table: CSV, TSV or JSON lines."""

from collections.abc import Iterator, Sequence
import csv
import io
import json
import os
from typing import Any

import numpy as np

from jaxssl.data import formats, hold_out, places
from jaxssl.data import labels as labels_lib
from jaxssl.data import remote as remote_lib
from jaxssl.data.captions import Captions, as_texts, warn_skipped
from jaxssl.data.labelled_files import LabelledFiles
from jaxssl.data.labels import as_text
from jaxssl.data.picture_files import PictureFiles
from jaxssl.data.scattered import Scattered, store_of
from jaxssl.data.shards import NO_CAPTION, NO_PICTURE
from jaxssl.errors import UserError, unknown
from jaxssl.paths import is_remote

_DELIMITERS = {'.csv': ',', '.tsv': '\t'}
ENDINGS = (*_DELIMITERS, '.jsonl')
ELSEWHERE = 'pictures in another store, which remote=True allows to contact'


class Table(LabelledFiles):
  """Picture files with captions, one pair a line.

  Lines that name the same picture are one record with several captions. Lines
  without a caption, and those whose picture does not exist, are left out; the
  log counts and names them.

  Args:
    path: a `.csv` or `.tsv` file whose first line names the columns, or a
      `.jsonl` file with an object per line; also of a store (`gs://...`).
    image: column with the path of the picture, absolute or relative to the
      folder of the table; or a whole path in the store of the table
      (`gs://...`), and with `remote` in any store.
    captions: columns with captions; in JSON the value may be a list.
    label: column with the name or number of the class, see `labels`; None for
      no labels.
    split: `'train'`, `'test'` or `'all'`.
    test_fraction: share of the pictures of each class that is held out by a
      hash of their content, see `hold_out.of_each_class`.
    remote: whether pictures in other stores (`https://...`, `gs://...`) are
      read as well. Without it a table cannot choose which hosts are contacted:
      such pictures are left out, counted and named.

  Attributes:
    skipped: what is wrong -> how many lines or pictures are left out for it.
    num_held_out: how many pictures `test_fraction` leaves for test.

  Raises:
    UserError: if the file cannot be read, a column is missing, or no pair is
      left.
  """

  def __init__(
    self,
    path: str | os.PathLike[str],
    *,
    image: str = 'image',
    captions: Sequence[str] = ('caption',),
    label: str | None = None,
    split: str = 'train',
    test_fraction: float = 0.0,
    remote: bool = False,
  ):
    hold_out.check_split(split, test_fraction)
    columns = (captions,) if isinstance(captions, str) else tuple(captions)
    file, self.name = places.absolute(path), str(path)
    self._home = places.place(os.path.dirname(file))
    self._root: places.Place | Scattered = self._home
    pairs, labels = self._read(file, image, columns, label)
    pairs = self._whole(pairs, store_of(file), remote)
    names = list(pairs)
    kept = hold_out.of_each_class(
      names,
      [labels.get(name) for name in names],
      split,
      test_fraction=test_fraction,
      read=self._root.reader(names),
      source=self.name,
    )
    self.num_held_out = hold_out.num_held_out(len(names), kept, split)
    self._labels = np.full(len(names), labels_lib.UNKNOWN, np.int32)
    self.class_names = None
    if label:
      texts = [labels.get(name, '') for name in names]
      self._labels, self.class_names = labels_lib.number(
        texts, source=self.name
      )
    self._labels = self._labels[kept]
    names = [names[i] for i in kept.tolist()]
    self.num_examples = len(names)
    self._files = PictureFiles(self._root, names)
    self.captions = Captions.from_texts(pairs[name] for name in names)

  def _read(
    self,
    file: str,
    image: str,
    columns: tuple[str, ...],
    label: str | None,
  ) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Returns captions and label by the path of the picture."""
    pairs: dict[str, list[str]] = {}
    labels: dict[str, str] = {}
    for row in _rows(file, (image, *columns, *([label] if label else []))):
      name = str(row[image] or '').strip()
      found = [text for column in columns for text in as_texts(row[column])]
      pairs.setdefault(name, []).extend(found)
      if label:
        _set_label(labels, name, row[label], self.name)
    return pairs, labels

  def _whole(
    self, pairs: dict[str, list[str]], home: str, remote: bool
  ) -> dict[str, list[str]]:
    """Returns the pictures that exist and have captions; counts the others."""
    elsewhere = {n for n in pairs if is_remote(n) and store_of(n) != home}
    if elsewhere and remote:
      self._root, elsewhere = Scattered(self._home), set()
    exist = self._root.existing(pairs.keys() - elsewhere)
    missing = pairs.keys() - exist - elsewhere
    read, unread = formats.sort_out(sorted(exist))
    exist = set(read)
    skipped = {
      **unread,
      NO_CAPTION: [n for n in pairs if n in exist and not pairs[n]],
      NO_PICTURE: [n or '(no path)' for n in pairs if n in missing],
    }
    if elsewhere:
      skipped[ELSEWHERE] = [n for n in pairs if n in elsewhere]
    self.skipped = {fault: len(names) for fault, names in skipped.items()}
    warn_skipped(self.name, skipped)
    pairs = {n: texts for n, texts in pairs.items() if texts and n in exist}
    if not pairs:
      raise UserError(
        f'{self.name}: no line has both a caption and a picture that exists '
        f'(paths are relative to {self._root})'
        + ''.join(
          f'; {count} left out, {fault}'
          for fault, count in self.skipped.items()
          if count
        )
      )
    return pairs


def _rows(file: str, columns: tuple[str, ...]) -> Iterator[dict[str, Any]]:
  """Yields the lines of a table, which have at least these columns."""
  ending = os.path.splitext(file)[1].lower()
  read = _json_lines if ending == '.jsonl' else _delimited
  if ending not in ENDINGS:
    raise UserError(f'{file}: a table ends in {", ".join(ENDINGS)}')
  try:
    with (
      remote_lib.open_binary(file) as opened,
      io.TextIOWrapper(opened, encoding='utf-8-sig', newline='') as lines,
    ):
      for number, row in read(lines, file):
        missing = [column for column in columns if column not in row]
        if missing:
          raise unknown(f'column in {file}, line {number}', missing[0], row)
        yield row
  except (OSError, UnicodeDecodeError) as error:
    raise UserError(f'{file} cannot be read: {error}') from error


def _delimited(lines: Any, file: str) -> Iterator[tuple[int, dict[str, Any]]]:
  delimiter = _DELIMITERS[os.path.splitext(file)[1].lower()]
  # Strict: an open quote would make one cell of all lines that follow.
  reader = csv.DictReader(lines, delimiter=delimiter, restval='', strict=True)
  try:
    for row in reader:
      beyond = row.pop(None, [])
      if any(beyond):
        raise UserError(
          f'{file}, line {reader.line_num}: {len(row) + len(beyond)} cells for '
          f'{len(row)} columns; put texts that hold {delimiter!r} in quotes'
        )
      yield reader.line_num, row
  except csv.Error as error:
    raise UserError(
      f'{file}, after line {reader.line_num}: {error}; see to its quotes'
    ) from error


def _json_lines(lines: Any, file: str) -> Iterator[tuple[int, dict[str, Any]]]:
  for number, line in enumerate(lines, 1):
    if not line.strip():
      continue
    try:
      row = json.loads(line)
    except (ValueError, RecursionError) as error:
      raise UserError(f'{file}, line {number}: {error}') from error
    if not isinstance(row, dict):
      raise UserError(f'{file}, line {number}: no JSON object')
    yield number, row


def _set_label(
  labels: dict[str, str], name: str, value: Any, table: str
) -> None:
  """Notes the label of a picture, which all its lines agree on."""
  text = as_text(value, where=f'{table}: {name}')
  if text and labels.setdefault(name, text) != text:
    raise UserError(
      f'{table}: {name} has the labels {labels[name]!r} and {text!r}; a '
      'picture is of one class'
    )
