"""Image-text pairs in tar files of the WebDataset layout.

Members that share their path up to the first dot of the name are one record:
`000/17.jpg`, `000/17.txt`, `000/17.json`.
"""

from collections.abc import Generator, Iterable, Iterator, Sequence
import contextlib
import dataclasses
import functools
import json
import pathlib
import re
import tarfile
from typing import Any, BinaryIO

import numpy as np

from jaxssl.data import formats, index_workers, kept_index, remote, shards
from jaxssl.data.captions import Captions, as_texts
from jaxssl.data.formats import EXTENSIONS, UNREAD
from jaxssl.data.labels import as_text
from jaxssl.data.shard_index import ShardIndex, coded, packed
from jaxssl.errors import UserError

MAX_PICTURE_BYTES = 1 << 26
MAX_TEXT_BYTES = 1 << 20
OTHER_ENDING = 'members whose ending, after the first dot, is none that is read'
NO_FILE = 'links, devices and files with holes'

_PICTURES = frozenset(ending.removeprefix('.') for ending in EXTENSIONS)
_UNREAD = frozenset(ending.removeprefix('.') for ending in UNREAD)
# `json.key`, `meta.json.key`; other fields are the whole ending of a member.
_JSON_FIELD = re.compile(r'(?:(.*)\.)?json\.(.+)', re.IGNORECASE)
_AT_ONCE = 1 << 20
# ValueError and LookupError: of numbers and texts in damaged headers.
_DAMAGE = (tarfile.TarError, OSError, EOFError, ValueError, LookupError)


# Ending of a member, and the key of a value in it if it is JSON.
_Field = tuple[str, str | None]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Wanted:
  """What is read of a record."""

  pictures: frozenset[str] | None
  captions: tuple[_Field, ...]
  label: _Field | None

  @property
  def settings(self) -> str:
    """Names it, equally in every process."""
    pictures = self.pictures and sorted(self.pictures)
    return f'{pictures} {self.captions} {self.label}'

  @property
  def texts(self) -> set[str]:
    """Endings of the members with captions and labels."""
    fields = (*self.captions, *([self.label] if self.label else []))
    return {ending for ending, _ in fields}


def tar(
  path: str | Sequence[str],
  *,
  image: str | Sequence[str] | None = None,
  captions: str | Sequence[str] = ('txt',),
  label: str | None = None,
  split: str = 'train',
  test_fraction: float = 0.0,
) -> shards.Shards:
  """Opens tar files of image-text pairs; nothing is extracted.

  The first use of a file reads the headers of all members and the texts, and
  keeps that as an index in the cache folder (`kept_index.cache_folder`), by
  path, size and time of change. A file is read to its end: one that is cut
  short, damaged or followed by another one is refused.

  Members whose names are absolute or contain `..` are refused, those that are
  no regular files are passed over. Records with a picture of more than 64 MiB
  or a text of more than 1 MiB, without a picture or without a caption, and
  members with a second dot in their name are left out; the log counts and names
  them.

  Args:
    path: a file, a pattern, a range `{000..123}` of files, or several.
    image: endings of the pictures, `'jpg'` or `('jpg', 'seg.png')`; None for
      the known ones (`formats.EXTENSIONS`). Other members are passed over in
      records that have such a picture.
    captions: where captions are: endings of text members (`'txt'`; the whole
      text is one caption) and keys of JSON members (`'json.tags'`; a text, or a
      list of texts). All that a record has count. None (`()`): pictures alone,
      and none needs a caption.
    label: the same for the label, `'cls'` or `'json.group'`; the module
      `labels` says how labels are numbered.
    split: `'train'`, `'test'` or `'all'`.
    test_fraction: share of the records that is held out for test.

  Returns:
    The source.

  Raises:
    UserError: for a file that is no whole, uncompressed tar file, a refused or
      repeated member, a record with several pictures, and if no record is left.
  """
  wanted = Wanted(
    pictures=None if image is None else _endings(image),
    captions=tuple(_field(each) for each in _several(captions)),
    label=None if label is None else _field(label),
  )
  return shards.Shards(
    shards.expand(path),
    scan=functools.partial(_scan, wanted=wanted),
    settings=settings(wanted),
    has_labels=label is not None,
    has_captions=bool(wanted.captions),
    split=split,
    test_fraction=test_fraction,
  )


def settings(wanted: Wanted) -> str:
  """Returns what the index of a file depends on besides the file."""
  return f'tar {wanted.settings} without {formats.missing()}'


def members(
  path: str | Sequence[str], endings: Sequence[str]
) -> shards.Shards | None:
  """Opens members of tar files by their endings, whatever they hold.

  Args:
    path: as of `tar`.
    endings: such as `'mask.png'`; at most one of each record.

  Returns:
    A source whose "pictures" are these members; None if there are none.

  Raises:
    UserError: as `tar`.
  """
  wanted = Wanted(pictures=_endings(endings), captions=(), label=None)
  files = shards.expand(path)
  what = f'members {wanted.settings}'
  scan = functools.partial(_scan, wanted=wanted)
  states = [kept_index.state_of(file) for file in files]
  index_workers.make(files, states, scan, what)
  if not any(
    len(kept_index.of_file(file, state, scan, what))
    for file, state in zip(files, states, strict=True)
  ):
    return None
  return shards.Shards(
    files,
    scan=scan,
    settings=what,
    has_labels=False,
    has_captions=False,
    split='all',
    test_fraction=0.0,
  )


@dataclasses.dataclass(kw_only=True)
class _Record:
  """The members of a record.

  Attributes:
    picture: name of the member.
    unread: name of a picture in a format that is not read.
    place: offset and size of the picture.
    texts: ending -> content.
    other: members of other endings.
    no_file: members that are links or devices.
  """

  picture: str = ''
  unread: str = ''
  place: tuple[int, int] = (0, 0)
  texts: dict[str, bytes] = dataclasses.field(default_factory=dict)
  other: list[str] = dataclasses.field(default_factory=list)
  no_file: list[str] = dataclasses.field(default_factory=list)

  def value(self, field: _Field) -> Any:
    """Returns what it has in a field, None if nothing."""
    ending, key = field
    content = self.texts.get(ending)
    if content is None or key is None:
      return content
    try:
      return json.loads(content)[key]
    # RecursionError: brackets nested without end.
    except (ValueError, LookupError, TypeError, RecursionError):
      return None


def _several(value: str | Sequence[str]) -> tuple[str, ...]:
  return (value,) if isinstance(value, str) else tuple(value)


def _endings(value: str | Sequence[str]) -> frozenset[str]:
  return frozenset(e.removeprefix('.').lower() for e in _several(value))


def _field(text: str) -> _Field:
  match = _JSON_FIELD.fullmatch(text)
  if not match:
    return text.lower(), None
  before, key = match.groups()
  return f'{before}.json'.lower() if before else 'json', key


def _scan(path: str, wanted: Wanted) -> ShardIndex:
  skipped: dict[str, list[str]] = {
    fault: []
    for fault in (
      shards.NO_CAPTION,
      shards.NO_PICTURE,
      shards.TOO_LARGE,
      OTHER_ENDING,
      NO_FILE,
    )
  }
  records = _records(path, wanted, skipped[shards.TOO_LARGE])
  kept, texts, labels = [], [], []
  for name, record in records.items():
    found = [t for f in wanted.captions for t in as_texts(record.value(f))]
    if not record.picture or wanted.pictures is None:
      skipped[OTHER_ENDING] += record.other
    unread = formats.fault_of_name(record.picture or record.unread)
    if unread:
      skipped.setdefault(unread, []).append(name)
    elif record.picture and (found or not wanted.captions):
      kept.append(name)
      texts.append(found)
      value = wanted.label and record.value(wanted.label)
      labels.append(as_text(value, where=f'{path}:{name}'))
    elif record.picture or found:
      fault = shards.NO_CAPTION if record.picture else shards.NO_PICTURE
      skipped[fault].append(name)
    else:
      skipped[NO_FILE] += record.no_file
  places = [records[name].place for name in kept]
  label_texts, codes = coded(labels)
  return ShardIndex(
    names=packed(kept),
    places=np.array(places, np.int64).reshape(-1, 2),
    captions=Captions.from_texts(texts),
    labels=codes,
    label_texts=label_texts,
    skipped={fault: names for fault, names in skipped.items() if names},
  )


def _records(
  path: str, wanted: Wanted, too_large: list[str]
) -> dict[str, _Record]:
  """Returns the records of a file; adds to a list what is too large."""
  records: dict[str, _Record] = {}
  with _opened(path) as (file, members):
    for member in members:
      _check_name(member.name, path)
      key, ending = _parts(member.name)
      if key is None:
        continue
      record = records.setdefault(key, _Record())
      if ending in (wanted.pictures or _PICTURES):
        limit = MAX_PICTURE_BYTES
      elif ending in wanted.texts:
        limit = MAX_TEXT_BYTES
      else:
        if ending in _UNREAD:
          record.unread = member.name
        if ending.rpartition('.')[2] in _PICTURES | wanted.texts:
          record.other.append(member.name)
        continue
      if not member.isreg() or member.issparse():
        record.no_file.append(member.name)
      elif member.size > limit:
        too_large.append(member.name)
      elif limit == MAX_PICTURE_BYTES:
        _set_picture(record, member, path)
      elif ending in record.texts:
        raise UserError(f'{path} has two members {member.name!r}')
      else:
        record.texts[ending] = _content(file, member)
  return records


def _content(file: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
  opened = file.extractfile(member)
  if opened is None:
    raise tarfile.ReadError(f'{member.name!r} is no file')
  return opened.read()


def _parts(name: str) -> tuple[str | None, str]:
  """Returns key and ending of a member; no key for a hidden one."""
  folder, _, base = name.rpartition('/')
  stem, _, ending = base.partition('.')
  return (f'{folder}/{stem}'.lstrip('/') if stem else None), ending.lower()


def _set_picture(record: _Record, member: tarfile.TarInfo, path: str) -> None:
  if record.picture == member.name:
    raise UserError(f'{path} has two members {member.name!r}')
  if record.picture:
    ending = _parts(record.picture)[1]
    raise UserError(
      f'{path}: {record.picture!r} and {member.name!r} are two pictures of one '
      f'record; name the ending of those to read, such as image={ending!r}'
    )
  record.picture = member.name
  record.place = (member.offset_data, member.size)


@contextlib.contextmanager
def _opened(
  path: str,
) -> Generator[tuple[tarfile.TarFile, Iterable[tarfile.TarInfo]]]:
  """Gives a tar file and its members, which are read to their end."""
  try:
    with (
      remote.open_binary(path) as opened,
      tarfile.open(fileobj=opened, mode='r:') as file,
    ):
      yield file, _members(file, path)
      _check_end(opened, file.offset, path)
  except UserError:
    raise
  except _DAMAGE as error:
    raise UserError(
      f'{path} cannot be read as an uncompressed tar file: {error}'
    ) from error


def _members(file: tarfile.TarFile, path: str) -> Iterator[tarfile.TarInfo]:
  end = 0
  for member in file:
    # Or a member of negative size would be read for ever.
    if member.offset < end or member.size < 0:
      raise UserError(f'{path} is damaged at byte {end}')
    end = member.offset + tarfile.BLOCKSIZE
    yield member


def _check_end(file: BinaryIO, offset: int, path: str) -> None:
  """Raises `UserError` if a tar file does not end where its members do.

  `tarfile` stops without a word at whatever is no header: also where a file is
  cut, at a damaged header, and between two files that were joined.
  """
  file.seek(offset)
  mark = file.read(tarfile.BLOCKSIZE)
  if len(mark) < tarfile.BLOCKSIZE:
    raise UserError(
      f'{path} is cut short: it ends at byte {offset + len(mark)} without the '
      'mark of its end; copy or write it again'
    )
  if any(mark):
    raise UserError(
      f'{path} is damaged at byte {offset}, where a header is due'
    )
  while block := file.read(_AT_ONCE):
    if block.count(0) < len(block):
      raise UserError(
        f'{path} goes on behind its end: archives that were joined byte by '
        'byte are not read; give the files as they were, or join them by tar -A'
      )


def _check_name(name: str, path: str) -> None:
  if '..' not in name and '\0' not in name and not name.startswith('/'):
    return  # nearly all of millions
  parts = pathlib.PurePosixPath(name)
  if parts.is_absolute() or '..' in parts.parts or '\0' in name:
    raise UserError(
      f'{path}: member {name!r} points out of the file; such files are not read'
    )
