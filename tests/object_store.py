"""A stand-in for Google Cloud Storage, as its clients see it.

One dictionary of objects with the rules of a store: an object appears whole
when it is closed; there is no append, no rename and no folder without an object
in it. fsspec reaches it as `gs://`, TensorStore (which writes the arrays of
Orbax) by the JSON interface of Cloud Storage, over HTTP.
"""

import base64
import contextlib
import hashlib
import http.server
import io
import json
import os
import threading
from unittest import mock
import urllib.parse

import fsspec
from fsspec.spec import AbstractFileSystem
from orbax.checkpoint._src.path import gcs_utils

# bucket/name -> (content, generation)
_OBJECTS: dict[str, tuple[bytes, int]] = {}
_LOCK = threading.Lock()


def put(name: str, content: bytes) -> None:
  with _LOCK:
    generation = _OBJECTS.get(name, (b'', 1000))[1] + 1
    _OBJECTS[name] = (bytes(content), generation)


def remove(name: str) -> None:
  with _LOCK:
    del _OBJECTS[name]


def names(prefix: str = '') -> list[str]:
  with _LOCK:
    return sorted(name for name in _OBJECTS if name.startswith(prefix))


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
    with _LOCK:
      if path in _OBJECTS:
        content, generation = _OBJECTS[path]
        return {
          'name': path,
          'size': len(content),
          'type': 'file',
          'generation': generation,
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
      with _LOCK:
        if path not in _OBJECTS:
          raise FileNotFoundError(path)
        return io.BytesIO(_OBJECTS[path][0])
    if mode != 'wb':
      raise NotImplementedError(f'a store has no mode {mode!r}')
    return _Upload(path)

  def mkdir(self, path, create_parents=True, **kwargs):
    """A store has no folders to make."""

  def makedirs(self, path, exist_ok=False):
    """A store has no folders to make."""

  def _rm(self, path):
    with _LOCK:
      del _OBJECTS[self._strip_protocol(path)]

  def rm(self, path, recursive=False, maxdepth=None):
    del maxdepth
    path = self._strip_protocol(path)
    found = names(f'{path}/') if recursive else []
    if path in _OBJECTS:
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
    with _LOCK:
      content, generation = _OBJECTS.get(bucket + name, (None, 0))
    if content is None:
      return self._answer(404)
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
    items = [
      {'name': n, 'size': str(len(_OBJECTS[bucket + n][0]))} for n in found
    ]
    self._json({'kind': 'storage#objects', 'items': items})

  def do_POST(self):
    bucket, _, query = self._parts()
    content = self.rfile.read(int(self.headers['Content-Length']))
    name = bucket + query['name']
    with _LOCK:
      generation = _OBJECTS.get(name, (b'', 0))[1]
    if query.get('ifGenerationMatch', str(generation)) != str(generation):
      return self._answer(412)
    put(name, content)
    return self._json(
      {
        'name': query['name'],
        'bucket': bucket[:-1],
        'generation': str(_OBJECTS[name][1]),
      }
    )

  def do_DELETE(self):
    bucket, name, _ = self._parts()
    with _LOCK:
      found = _OBJECTS.pop(bucket + name, None)
    self._answer(204 if found else 404)


@contextlib.contextmanager
def running():
  """Makes `gs://` mean this store, for all libraries of this process."""
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
  _OBJECTS.clear()
