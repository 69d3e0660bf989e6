"""`jaxssl watch`: the report of a run, on this machine, while it trains."""

import argparse
from collections.abc import Callable, Sequence
import http.server
import logging
import threading
import time
from typing import Any

from jaxssl import atomic_file
from jaxssl.arguments import data_choice
from jaxssl.commands import report as report_command
from jaxssl.errors import UserError
from jaxssl.pictures import report

# The accelerator is the training's.
PLATFORMS = 'cpu'
_HOST = '127.0.0.1'
_log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the arguments of the command."""
  parser.add_argument('workdir', help='folder of the run')
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
  workdir = report_command.here(arguments.workdir)
  choice = data_choice.choice(arguments, overrides)
  looked_at = report_command.looked_at(arguments, choice, workdir)
  found: report.Learned | None = None

  def page() -> str:
    return report.write(workdir, found, seconds=arguments.seconds)

  server = open_server(arguments.port, page)
  threading.Thread(target=server.serve_forever, daemon=True).start()
  _log.info('http://%s:%d (Ctrl-C ends it)', _HOST, server.server_port)
  try:
    drawn = None
    while True:
      step = report_command.newest(workdir)
      if step != drawn and report_command.has_weights(workdir):
        found, drawn = report.learned(workdir, looked_at), step
        path = workdir.path / report_command.NAME
        atomic_file.write_text(path, report.write(workdir, found))
        _log.info('drew step %d; wrote %s', found.step, path)
      time.sleep(min(arguments.seconds, 10))
  finally:
    server.shutdown()
    server.server_close()


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
