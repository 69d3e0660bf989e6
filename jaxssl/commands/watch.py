"""`jaxssl watch`: the report of a run, on this machine, while it trains."""

import argparse
from collections.abc import Callable, Sequence
import http.server
import logging
import threading
import time
from typing import Any

from jaxssl import atomic_file
from jaxssl.arguments import data_choice, place
from jaxssl.commands import report as report_command
from jaxssl.errors import UserError
from jaxssl.pictures import report
from jaxssl.pictures.of_run import LookedAt
from jaxssl.train.workdir import Workdir

# The accelerator is the training's.
PLATFORMS = 'cpu'
_HOST = '127.0.0.1'
_log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the arguments of the command."""
  place.add(parser)
  parser.add_argument(
    '--port', type=int, default=8765, help='default: 8765; 0: any free one'
  )
  parser.add_argument(
    '--seconds',
    type=int,
    default=30,
    help='how often the page is loaded again; default: 30',
  )
  report_command.add_pictures(parser)


def run(arguments: argparse.Namespace, overrides: Sequence[str]) -> int:
  """Serves the page until Ctrl-C; draws pictures at each new checkpoint."""
  if arguments.seconds < 1:
    raise UserError(f'--seconds is {arguments.seconds}; give 1 or more')
  workdir = report_command.here(place.of(arguments))
  choice = data_choice.choice(arguments, overrides)
  looked_at = report_command.looked_at(arguments, choice, workdir)
  drawn = Drawn(workdir, looked_at)
  server = open_server(arguments.port, lambda: drawn.page(arguments.seconds))
  threading.Thread(target=server.serve_forever, daemon=True).start()
  _log.info('http://%s:%d (Ctrl-C ends it)', _HOST, server.server_port)
  try:
    while True:
      drawn.renew()
      time.sleep(min(arguments.seconds, 10))
  finally:
    server.shutdown()
    server.server_close()


class Drawn:
  """The pictures of the newest checkpoint that could be drawn."""

  def __init__(self, workdir: Workdir, looked_at: LookedAt):
    self._workdir, self._looked_at = workdir, looked_at
    self._found: report.Learned | None = None
    self._looked: int | None = None

  def page(self, seconds: int | None = None) -> str:
    """Returns the page, with the numbers of now."""
    return report.write(self._workdir, self._found, seconds=seconds)

  def renew(self) -> None:
    """Draws again, if there is another checkpoint than the last time."""
    step = report_command.newest(self._workdir)
    if step == self._looked or not report_command.has_weights(self._workdir):
      return
    self._looked = step
    try:
      self._found = report.learned(
        self._workdir, self._looked_at, step=step or None
      )
    except UserError as error:
      # A training removes old checkpoints; the next one may be there in time.
      _log.warning('step %d cannot be drawn: %s', step, error)
      return
    path = self._workdir.path / report_command.NAME
    atomic_file.write_text(path, self.page())
    _log.info('drew step %d; wrote %s', self._found.step, path)


def open_server(
  port: int, page: Callable[[], str]
) -> http.server.ThreadingHTTPServer:
  """Returns a server of one page, which only this machine can reach.

  Args:
    port: 0: any free one.
    page: returns the HTML.

  Raises:
    UserError: if the port cannot be had.
  """

  class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
      # Another name that leads here is a foreign page that would read ours.
      host = self.headers.get('Host', '').rpartition(':')[0]
      if host not in (_HOST, 'localhost'):
        self.send_error(403)
      elif self.path == '/favicon.ico':
        self.send_response(204)
        self.end_headers()
      elif self.path != '/':
        self.send_error(404)
      else:
        self._send(page().encode(errors='replace'))

    def _send(self, content: bytes) -> None:
      self.send_response(200)
      self.send_header('Content-Type', 'text/html; charset=utf-8')
      self.send_header('Content-Length', str(len(content)))
      self.send_header('Content-Security-Policy', _POLICY)
      self.end_headers()
      self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
      """Says nothing of each request."""

  try:
    return http.server.ThreadingHTTPServer((_HOST, port), Handler)
  except (OSError, OverflowError) as error:
    raise UserError(
      f'port {port} cannot be had ({error}); give another --port, 0 for any'
    ) from error


_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
