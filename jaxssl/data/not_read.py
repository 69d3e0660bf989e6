"""What to do with files that are there and not read as they were given."""

import posixpath
import re

from jaxssl.data.places import Place

# `train.tfrecord-00003-of-00010` ends in `.tfrecord`; so does its pattern,
# `train.tfrecord-*`.
_ENDING = re.compile(r'(\.\w+)(-[^/]*-of-[^/]*|-[^/.]*[*?][^/]*)?$')
# Read if they are named, also many of them, but not if their folder is.
_SHARDS = ('.tar', '.tfrecord', '.parquet')
_TABLES = ('.csv', '.tsv', '.jsonl')
_PREPARED = 'dataset_info.json'
_TFDS = (
  'give the name of the TFDS data set, and as data_dir the folder that its '
  'folder lies in'
)
_UNPACK = 'unpack it, and give the folder'
_WRITE = 'write its pictures to a folder, or to tar or parquet files'
_ARRAYS = 'load it, and give data.Arrays(images, labels) to the Python API'
_ADVICE = (
  {'.array_record': _TFDS}
  | dict.fromkeys(('.zip', '.7z', '.rar', '.tgz', '.gz', '.bz2'), _UNPACK)
  | dict.fromkeys(('.xz', '.zst', '.tbz2', '.txz'), _UNPACK)
  | dict.fromkeys(('.npy', '.npz', '.mat', '.pkl', '.pickle', '.pt'), _ARRAYS)
  | dict.fromkeys(('.h5', '.hdf5', '.mdb', '.lmdb', '.rec', '.beton'), _WRITE)
)


def ending(path: str) -> str:
  """Returns the ending of a name in lower case, before the number of a shard.

  Args:
    path: of a file, a pattern, or a range `{000..123}` of files.
  """
  found = _ENDING.search(path.lower())
  return found.group(1) if found else ''


def of_file(path: str) -> str:
  """Returns what to do with a file whose name tells no kind that is read."""
  advice = _ADVICE.get(ending(path))
  if advice is None:
    kinds = ' '.join((*_SHARDS, *_TABLES))
    advice = (
      f'of many records are read {kinds}; TFRecords of another name as the '
      'source tfrecord with this path'
    )
  return f'{path} is a file of a kind that is not read; {advice}'


def of_folder(place: Place) -> str | None:
  """Returns what to do with a folder without pictures, by what it holds."""
  names = sorted(place.files(('',)))
  # First, as its files are often TFRecords, which are no pairs.
  if any(posixpath.basename(name) == _PREPARED for name in names):
    return _TFDS
  for name in names:
    kind = ending(name)
    if kind in _SHARDS:
      return f'give its {kind} files: {place.describe(_like(name, kind))}'
    if kind in _TABLES:
      return f'give the table, such as {place.describe(name)}'
    if kind in _ADVICE:
      return f'it holds {name}; {_ADVICE[kind]}'
  return None


def _like(name: str, kind: str) -> str:
  """Returns a pattern for the files beside one of its kind."""
  folder, last = posixpath.split(name)
  numbered = not last.lower().endswith(kind)
  return posixpath.join(folder, f'*{kind}' + '-*' * numbered)
