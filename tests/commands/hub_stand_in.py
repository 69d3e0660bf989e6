"""A server that answers as the Hugging Face hub does, for one owner."""

import base64
from collections.abc import Generator
import contextlib
import hashlib
import http.server
import json
import threading
from typing import Any

TOKEN = 'hf_of_the_test'
_COMMIT = '0a1b' * 10


class Hub:
  """What was pushed: repository -> file -> content, and who asked for what."""

  def __init__(self) -> None:
    self.repositories: dict[str, dict[str, bytes]] = {}
    self.private: dict[str, bool] = {}
    self.commits: list[str] = []
    self.address = ''


@contextlib.contextmanager
def running() -> Generator[Hub]:
  """Serves on a free port of this machine while the block runs."""
  hub = Hub()

  class Handler(_Handler):
    state = hub

  server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Handler)
  hub.address = f'http://127.0.0.1:{server.server_port}'
  thread = threading.Thread(target=server.serve_forever)
  thread.start()
  try:
    yield hub
  finally:
    server.shutdown()
    thread.join()
    server.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
  state: Hub

  def do_POST(self) -> None:
    body = self.rfile.read(int(self.headers['Content-Length']))
    if self.path == '/api/validate-yaml':
      return self._say({'errors': [], 'warnings': []})
    if self.headers.get('Authorization') != f'Bearer {TOKEN}':
      return self._say({'error': 'Invalid username or password.'}, 401)
    if self.path == '/api/repos/create':
      return self._create(json.loads(body))
    repository, _, what = self.path.removeprefix('/api/models/').rpartition('/')
    repository, _, what = repository.rpartition('/')
    if what == 'preupload':
      names = [file['path'] for file in json.loads(body)['files']]
      files = [
        {'path': name, 'uploadMode': 'regular', 'shouldIgnore': False}
        for name in names
      ]
      return self._say({'files': files})
    assert what == 'commit'
    return self._commit(repository, body)

  def _create(self, asked: dict[str, Any]) -> None:
    name = f'{asked["organization"]}/{asked["name"]}'
    address = {'url': f'{self.state.address}/{name}'}
    if name in self.state.repositories:
      return self._say({'error': 'You already created this', **address}, 409)
    self.state.repositories[name] = {}
    self.state.private[name] = asked.get('visibility') == 'private'
    return self._say(address)

  def _commit(self, repository: str, body: bytes) -> None:
    for line in body.decode().splitlines():
      entry = json.loads(line)
      if entry['key'] == 'header':
        self.state.commits.append(entry['value']['summary'])
      if entry['key'] == 'file':
        file = entry['value']
        content = base64.b64decode(file['content'])
        self.state.repositories[repository][file['path']] = content
    url = f'{self.state.address}/{repository}/commit/{_COMMIT}'
    self._say({'success': True, 'commitOid': _COMMIT, 'commitUrl': url})

  def do_HEAD(self) -> None:
    self.do_GET()

  def do_GET(self) -> None:
    parts = self.path.partition('?')[0].removeprefix('/api/models/').split('/')
    files = self.state.repositories.get('/'.join(parts[:2]).lstrip('/'))
    if '/tree/' in self.path and files is not None:
      return self._say(
        [
          {'type': 'file', 'path': name, 'size': len(content), 'oid': '0'}
          for name, content in files.items()
        ]
      )
    if self.path.startswith('/api/models/') and files is not None:
      siblings = [{'rfilename': name} for name in files]
      told = {'id': '/'.join(parts[:2]), 'sha': _COMMIT, 'siblings': siblings}
      return self._say(told)
    _, owner, name, *_, file = self.path.split('/')
    content = self.state.repositories.get(f'{owner}/{name}', {}).get(file)
    if content is None:
      return self._say({'error': 'Entry not found'}, 404)
    digest = hashlib.sha1(content).hexdigest()
    headers = {'ETag': f'"{digest}"', 'X-Repo-Commit': _COMMIT}
    return self._send(200, content, headers)

  def _say(self, content: Any, status: int = 200) -> None:
    self._send(status, json.dumps(content).encode(), {})

  def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
    self.send_response(status)
    for name, value in headers.items():
      self.send_header(name, value)
    self.send_header('Content-Length', str(len(content)))
    self.end_headers()
    if self.command != 'HEAD':
      self.wfile.write(content)

  def log_message(self, *arguments: Any) -> None:
    """Says nothing."""
