"""Files of data sets that lie elsewhere: `gs://bucket/...` and the like.

Through fsspec, which has a library for every store and reads exactly the bytes
that are asked for, many places at once. (TensorFlow's file system of `gs://`
reads blocks of 64 MiB and more, which is wrong for single records.)
"""

from collections.abc import Mapping, Sequence
import errno
import os
import stat
from typing import Any, BinaryIO

from jaxssl.data.optional import require
from jaxssl.errors import UserError
from jaxssl.paths import is_remote, use_gcs


def filesystem(path: str) -> Any:
  """Returns the fsspec file system of a remote path.

  Raises:
    UserError: if its scheme is unknown or its library is not installed.
  """
  scheme = path.partition('://')[0]
  if scheme == 'gs':
    use_gcs(path)
  fsspec = require('fsspec', extra='data')
  try:
    # What others have written meanwhile must be seen.
    return fsspec.filesystem(scheme, use_listings_cache=False)
  except ImportError as error:
    raise UserError(f'{path}: {error}') from error
  except ValueError as error:
    raise UserError(
      f'{path}: unknown scheme {scheme}://; known are those of fsspec, such as '
      'gs://, s3://, https://'
    ) from error


def open_binary(path: str) -> BinaryIO:
  """Opens a file of this machine or of a store to read its bytes.

  Raises:
    OSError: if it is no regular file, or cannot be opened.
  """
  if is_remote(path):
    return filesystem(path).open(path, 'rb')
  size(path)
  return open(path, 'rb')


def size(path: str) -> int:
  """Returns the bytes of a file of this machine or of a store.

  Raises:
    OSError: if there is no such file, or it is no regular one: to open a pipe
      may wait for ever.
  """
  if is_remote(path):
    return filesystem(path).size(path)
  status = os.stat(path)
  if not stat.S_ISREG(status.st_mode):
    raise OSError(errno.EINVAL, 'no regular file', path)
  return status.st_size


def written(path: str) -> str:
  """Returns a text that changes when a file is written again.

  Raises:
    OSError: if there is no such file.
  """
  if is_remote(path):
    return str(filesystem(path).ukey(path))
  return str(os.stat(path).st_mtime_ns)


# What clients of stores call the content or the age of a file, best first: what
# is of the content survives a copy.
_STATES = (
  'md5Hash',
  'crc32c',
  'ETag',
  'etag',
  'generation',
  'updated',
  'LastModified',
  'last_modified',
  'mtime',
  'created',
)


def state_of(info: Mapping[str, Any]) -> tuple[int, str]:
  """Returns size and state of a file of a listing."""
  known = (f'{key}={info[key]}' for key in _STATES if info.get(key))
  return info['size'], next(known, '')


def read_places(
  paths: Sequence[str],
  starts: int | Sequence[int] | None = None,
  ends: int | Sequence[int] | None = None,
) -> list[bytes]:
  """Reads many files, or places of files, at once.

  Args:
    paths: at least one, of one store.
    starts: first byte of each, or of all; None for whole files.
    ends: one past the last byte.

  Returns:
    Content of each; empty where it cannot be read, which is handled like any
    other unreadable record.
  """
  found = filesystem(paths[0]).cat_ranges(
    list(paths), starts, ends, on_error='return'
  )
  return [x if isinstance(x, bytes) else b'' for x in found]
