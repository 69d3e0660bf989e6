"""A stand-in for Google Cloud Storage, as its clients see it.

A table of objects with the rules of a store: an object appears whole when it is
closed; there is no append, no rename and no folder without an object in it.
fsspec reaches it as `gs://`, TensorStore (which writes the arrays of Orbax) by
the JSON interface of Cloud Storage, over HTTP. Processes that are given the
same file see the same objects.
"""

import base64
import contextlib
import hashlib
import http.server
import io
import json
import os
import pathlib
import sqlite3
import tempfile
import threading
from unittest import mock
import urllib.parse

import fsspec
from fsspec.spec import AbstractFileSystem
from orbax.checkpoint._src.path import gcs_utils

_TABLE = (
  'CREATE TABLE IF NOT EXISTS objects '
  '(name TEXT PRIMARY KEY, content BLOB, generation INTEGER)'
)
# The file of the store that runs.
_FILE: list[pathlib.Path] = []


@contextlib.contextmanager
def _table():
  """The objects, locked against all others."""
  with contextlib.closing(
    sqlite3.connect(_FILE[-1], timeout=60, isolation_level=None)
  ) as table:
    table.execute('PRAGMA synchronous = OFF')
    table.execute('PRAGMA journal_mode = MEMORY')
    table.execute('BEGIN IMMEDIATE')
    try:
      yield table
    finally:
      table.execute('COMMIT')


def get(name: str) -> tuple[bytes, int] | None:
  """Returns content and generation of an object, if there is such a one."""
  with _table() as table:
    return table.execute(
      'SELECT content, generation FROM objects WHERE name = ?', (name,)
    ).fetchone()


def put(name: str, content: bytes, instead_of: int | None = None) -> int | None:
  """Writes an object; returns its generation.

  None, and nothing is written, if it has not the generation `instead_of`; that
  of no object is 0.
  """
  with _table() as table:
    found = table.execute(
      'SELECT generation FROM objects WHERE name = ?', (name,)
    ).fetchone()
    if instead_of not in (None, found[0] if found else 0):
      return None
    generation = found[0] + 1 if found else 1001
    table.execute(
      'INSERT OR REPLACE INTO objects VALUES (?, ?, ?)',
      (name, bytes(content), generation),
    )
    return generation


def remove(name: str) -> None:
  """Removes an object.

  Raises:
    FileNotFoundError: if there is none.
  """
  with _table() as table:
    done = table.execute('DELETE FROM objects WHERE name = ?', (name,))
    if not done.rowcount:
      raise FileNotFoundError(name)


def names(prefix: str = '') -> list[str]:
  """Returns the names of the objects that begin so."""
  with _table() as table:
    found = table.execute(
      'SELECT name FROM objects WHERE substr(name, 1, ?) = ? ORDER BY name',
      (len(prefix), prefix),
    ).fetchall()
  return [name for (name,) in found]


def upload(folder, target: str) -> str:
  """Copies a folder into the store; returns its path there."""
  for path in sorted(folder.rglob('*')):
    if path.is_file():
      put(f'{target}/{path.relative_to(folder)}', path.read_bytes())
  return f'gs://{target}'


class Store(AbstractFileSystem):
  """What gcsfs is to the real one."""

  protocol = ('gs', 'gcs')
  cachable = False

  def info(self, path, **kwargs):
    del kwargs
    path = self._strip_protocol(path)
    found = get(path)
    if found:
      return {
        'name': path,
        'size': len(found[0]),
        'type': 'file',
        'generation': found[1],
      }
    if names(f'{path}/'):
      return {'name': path, 'size': 0, 'type': 'directory'}
    raise FileNotFoundError(path)

  def ls(self, path, detail=True, **kwargs):
    del kwargs
    path = self._strip_protocol(path)
    below = {
      f'{path}/{name[len(path) + 1 :].split("/")[0]}'
      for name in names(f'{path}/')
    }
    found = [self.info(name) for name in sorted(below)]
    if not found:
      found = [self.info(path)]
    return found if detail else [each['name'] for each in found]

  def _open(self, path, mode='rb', **kwargs):
    del kwargs
    path = self._strip_protocol(path)
    if mode == 'rb':
      found = get(path)
      if not found:
        raise FileNotFoundError(path)
      return io.BytesIO(found[0])
    if mode != 'wb':
      raise NotImplementedError(f'a store has no mode {mode!r}')
    return _Upload(path)

  def mkdir(self, path, create_parents=True, **kwargs):
    """A store has no folders to make."""

  def makedirs(self, path, exist_ok=False):
    """A store has no folders to make."""

  def _rm(self, path):
    remove(self._strip_protocol(path))

  def rm(self, path, recursive=False, maxdepth=None):
    del maxdepth
    path = self._strip_protocol(path)
    found = names(f'{path}/') if recursive else []
    if get(path):
      found.append(path)
    if not found:
      raise FileNotFoundError(path)
    for name in found:
      self._rm(name)

  def cp_file(self, path1, path2, **kwargs):
    del kwargs
    with self._open(path1) as file:
      put(self._strip_protocol(path2), file.read())

  def mv(self, path1, path2, recursive=False, maxdepth=None, **kwargs):
    # Object by object, as the real clients do it.
    del recursive, maxdepth, kwargs
    path1, path2 = map(self._strip_protocol, (path1, path2))
    for name in [*names(f'{path1}/'), *(n for n in names(path1) if n == path1)]:
      self.cp_file(name, path2 + name.removeprefix(path1))
      self._rm(name)


class _Upload(io.BytesIO):
  def __init__(self, path):
    super().__init__()
    self._path = path

  def close(self):
    if not self.closed:
      put(self._path, self.getvalue())
    super().close()


class _Handler(http.server.BaseHTTPRequestHandler):
  """As much of storage/v1 as TensorStore asks for."""

  protocol_version = 'HTTP/1.1'

  def log_message(self, *args):
    """Says nothing."""

  def _parts(self):
    url = urllib.parse.urlsplit(self.path)
    query = {k: v[0] for k, v in urllib.parse.parse_qs(url.query).items()}
    parts = [urllib.parse.unquote(part) for part in url.path.split('/')]
    bucket = parts[parts.index('b') + 1] if 'b' in parts else ''
    name = parts[parts.index('o') + 1] if parts[-1] != 'o' else ''
    return f'{bucket}/', name, query

  def _answer(self, code, body=b'', headers=()):
    self.send_response(code)
    for key, value in (*headers, ('Content-Length', str(len(body)))):
      self.send_header(key, value)
    self.end_headers()
    self.wfile.write(body)

  def _json(self, value):
    headers = (('Content-Type', 'application/json'),)
    self._answer(200, json.dumps(value).encode(), headers)

  def do_GET(self):
    bucket, name, query = self._parts()
    if not name:
      return self._list(bucket, query)
    found = get(bucket + name)
    if not found:
      return self._answer(404)
    content, generation = found
    if query.get('ifGenerationNotMatch') == str(generation):
      return self._answer(304)
    if query.get('ifGenerationMatch', str(generation)) != str(generation):
      return self._answer(412)
    digest = base64.b64encode(hashlib.md5(content).digest()).decode()
    headers = [('X-Goog-Generation', str(generation))]
    asked = self.headers.get('Range')
    if asked is None:
      return self._answer(200, content, [*headers, ('X-Goog-Hash', digest)])
    first, _, last = asked.removeprefix('bytes=').partition('-')
    if not first:  # the last so many bytes
      start, end = max(0, len(content) - int(last)), len(content)
    else:
      start, end = int(first), min(int(last or len(content)) + 1, len(content))
    place = f'bytes {start}-{end - 1}/{len(content)}'
    headers.append(('Content-Range', place))
    return self._answer(206, content[start:end], headers)

  def _list(self, bucket, query):
    prefix, first = query.get('prefix', ''), query.get('startOffset', '')
    last = query.get('endOffset')
    found = [n.removeprefix(bucket) for n in names(bucket + prefix)]
    found = [n for n in found if n >= first and (last is None or n < last)]
    sizes = {n: len(get(bucket + n)[0]) for n in found}
    items = [{'name': n, 'size': str(size)} for n, size in sizes.items()]
    self._json({'kind': 'storage#objects', 'items': items})

  def do_POST(self):
    bucket, _, query = self._parts()
    content = self.rfile.read(int(self.headers['Content-Length']))
    wanted = query.get('ifGenerationMatch')
    generation = put(
      bucket + query['name'], content, None if wanted is None else int(wanted)
    )
    if generation is None:
      return self._answer(412)
    return self._json(
      {
        'name': query['name'],
        'bucket': bucket[:-1],
        'generation': str(generation),
      }
    )

  def do_DELETE(self):
    bucket, name, _ = self._parts()
    try:
      remove(bucket + name)
    except FileNotFoundError:
      return self._answer(404)
    return self._answer(204)


@contextlib.contextmanager
def running(file: str | os.PathLike[str] | None = None):
  """Makes `gs://` mean this store, for all libraries of this process.

  Args:
    file: where its objects are, and stay; None for those of a new store.
  """
  with contextlib.ExitStack() as stack:
    if file is None:
      folder = stack.enter_context(tempfile.TemporaryDirectory())
      file = pathlib.Path(folder) / 'objects.sqlite'
    _FILE.append(pathlib.Path(file))
    stack.callback(_FILE.pop)
    with _table() as table:
      table.execute(_TABLE)
    stack.enter_context(_served())
    yield


@contextlib.contextmanager
def _served():
  server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), _Handler)
  thread = threading.Thread(target=server.serve_forever, daemon=True)
  thread.start()
  variables = {
    'TENSORSTORE_GCS_HTTP_URL': f'http://127.0.0.1:{server.server_port}',
    'GOOGLE_AUTH_TOKEN_FOR_TESTING': 'none',
  }
  for protocol in Store.protocol:
    fsspec.register_implementation(protocol, Store, clobber=True)
  bucket = mock.Mock(hierarchical_namespace_enabled=False)
  with (
    mock.patch.dict(os.environ, variables),
    mock.patch.object(gcs_utils, 'get_bucket', return_value=bucket),
  ):
    yield
  server.shutdown()
  server.server_close()
  thread.join()
