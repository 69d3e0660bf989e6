"""Image-text pairs in tar files of the WebDataset layout.

Members that share their path up to the first dot of the name are one record:
`000/17.jpg`, `000/17.txt`, `000/17.json`.
"""

from collections.abc import Sequence
import json
import pathlib
import tarfile
from typing import Any

import numpy as np

from jaxssl.data import remote, shards
from jaxssl.data.captions import Captions, as_texts
from jaxssl.data.folder import EXTENSIONS
from jaxssl.data.labels import as_text
from jaxssl.errors import UserError

MAX_PICTURE_BYTES = 1 << 26
MAX_TEXT_BYTES = 1 << 20

_PICTURES = {ending.removeprefix('.') for ending in EXTENSIONS}


def tar(
  path: str | Sequence[str],
  *,
  captions: Sequence[str] = ('txt',),
  label: str | None = None,
  split: str = 'train',
  test_fraction: float = 0.0,
) -> shards.Shards:
  """Opens tar files of image-text pairs; nothing is extracted.

  The first use of a file reads the headers of all members and the texts, and
  keeps that as an index in the cache folder (`shards.cache_folder`), by path,
  size and time of change.

  Members whose names are absolute or contain `..` are refused, those that are
  no regular files are passed over. Records with a picture of more than 64 MiB
  or a text of more than 1 MiB, without a picture or without a caption are left
  out; the log counts and names them.

  Args:
    path: a file, a pattern, a range `{000..123}` of files, or several.
    captions: where captions are: endings of text members (`'txt'`; the whole
      text is one caption) and keys of JSON members (`'json.tags'`; a text, or a
      list of texts). All that a record has count.
    label: the same for the label, `'cls'` or `'json.group'`; the module
      `labels` says how labels are numbered.
    split: `'train'`, `'test'` or `'all'`.
    test_fraction: share of the records that is held out for test.

  Returns:
    The source.

  Raises:
    UserError: for a file that is no uncompressed tar file or is cut short, a
      refused or repeated member, and if no record is left.
  """
  fields = (captions,) if isinstance(captions, str) else tuple(captions)
  return shards.Shards(
    shards.expand(path),
    scan=lambda file: _scan(file, fields, label),
    picture=lambda content: content,
    settings=f'tar {fields} {label}',
    has_labels=label is not None,
    split=split,
    test_fraction=test_fraction,
  )


def _scan(
  path: str, captions: tuple[str, ...], label: str | None
) -> shards.ShardIndex:
  fields = (*captions, label) if label else captions
  wanted = {field.partition('.')[0] for field in fields}
  try:
    with (
      remote.open_binary(path) as opened,
      tarfile.open(fileobj=opened, mode='r:') as file,
    ):
      records, too_large = _members(file, path, wanted)
  except (tarfile.TarError, OSError, EOFError) as error:
    raise UserError(
      f'{path} cannot be read as an uncompressed tar file: {error}'
    ) from error
  kept, texts, labels = [], [], []
  without_caption, without_picture = [], []
  for name, record in records.items():
    found = [t for field in captions for t in as_texts(_value(record, field))]
    if 'picture' not in record:
      without_picture += [name] if found else []
    elif not found:
      without_caption.append(name)
    else:
      kept.append(name)
      texts.append(found)
      where = f'{path}:{name}'
      labels.append(as_text(_value(record, label or ''), where=where))
  places = [records[name]['picture'] for name in kept]
  return shards.ShardIndex(
    names=kept,
    places=np.array(places, np.int64).reshape(-1, 2),
    captions=Captions.from_texts(texts),
    labels=labels,
    skipped={
      shards.NO_CAPTION: without_caption,
      shards.NO_PICTURE: without_picture,
      shards.TOO_LARGE: too_large,
    },
  )


def _members(
  file: tarfile.TarFile, path: str, wanted: set[str]
) -> tuple[dict[str, dict[str, Any]], list[str]]:
  """Returns place of the picture and content of the texts of each record."""
  records: dict[str, dict[str, Any]] = {}
  seen, too_large = set(), []
  for member in file:
    _check_name(member.name, path)
    folder, _, name = member.name.rpartition('/')
    stem, _, ending = name.partition('.')
    ending = ending.lower()
    if not member.isreg() or member.issparse() or not stem:
      continue
    if member.name in seen:
      raise UserError(f'{path} has two members {member.name!r}')
    seen.add(member.name)
    is_picture = ending in _PICTURES
    if not (is_picture or ending in wanted):
      continue
    if member.size > (MAX_PICTURE_BYTES if is_picture else MAX_TEXT_BYTES):
      too_large.append(member.name)
      continue
    record = records.setdefault(f'{folder}/{stem}'.lstrip('/'), {})
    if is_picture:
      record.setdefault('picture', (member.offset_data, member.size))
    else:
      record[ending] = file.extractfile(member).read()
  return records, too_large


def _check_name(name: str, path: str) -> None:
  parts = pathlib.PurePosixPath(name)
  if parts.is_absolute() or '..' in parts.parts or '\0' in name:
    raise UserError(
      f'{path}: member {name!r} points out of the file; such files are not read'
    )


def _value(record: dict[str, Any], field: str) -> Any:
  """Returns what a record has in a field, None if nothing."""
  ending, _, key = field.partition('.')
  content = record.get(ending)
  if content is None or not key:
    return content
  try:
    # RecursionError: brackets nested without end.
    return json.loads(content)[key]
  except (ValueError, LookupError, TypeError, RecursionError):
    return None
