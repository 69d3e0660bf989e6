"""One process at a time writes a run, where there are no locks.

A store has no lock that the end of a process would release, and no clock that
two machines share. So who writes a run changes an object every few seconds, and
who finds such an object waits to see whether it changes.
"""

import json
import logging
import os
import socket
import threading
import time
import uuid

from jaxssl import atomic_file
from jaxssl.errors import UserError
from jaxssl.paths import Path

_log = logging.getLogger(__name__)
BEAT = 10.0  # seconds between two changes
_PATIENCE = 3.0  # beats without a change, after which the holder is dead
_SETTLED = 0.25  # of a beat, in which two that start at once have both written


class Lease:
  """The right to write a run, as long as the object says so.

  Of two that start in the same moment the later writer gets it. A holder that
  was cut off and has lost it learns so at its next beat or `check`, before it
  saves anything more.
  """

  def __init__(self, path: Path):
    """Names the object; touches nothing."""
    self._path = path
    self._holder = f'{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex}'
    self._beats = 0
    self._ended = threading.Event()
    self._lost = threading.Event()
    self._thread = threading.Thread(target=self._beat, daemon=True)

  def take(self) -> None:
    """Takes the lease and keeps it until `release`.

    Raises:
      UserError: if another process holds it, or it cannot be written.
    """
    found = self._read()
    if found is not None:
      _log.info(
        '%s is there: waiting %.0f s to see whether its process lives',
        self._path,
        _PATIENCE * BEAT,
      )
      time.sleep(_PATIENCE * BEAT)
      # Gone now: its holder has ended as it should.
      if self._read() not in (found, None):
        raise self._taken()
    self._write()
    time.sleep(_SETTLED * BEAT)
    self.check()
    self._thread.start()

  def check(self) -> None:
    """Makes sure that the lease is still this process's.

    Raises:
      UserError: if it is not.
    """
    if self._lost.is_set() or not self._is_mine():
      self._lost.set()
      raise self._taken()

  def release(self) -> None:
    """Gives the lease back, if it is still this process's."""
    self._ended.set()
    if self._thread.is_alive():
      self._thread.join()
    # Never an object that another process has written by now.
    if self._beats and not self._lost.is_set() and self._is_mine():
      self._path.unlink(missing_ok=True)

  def _beat(self) -> None:
    while not self._ended.wait(BEAT):
      try:
        if not self._is_mine():
          self._lost.set()
          return
        self._write()
      except Exception as error:  # the network is away for a moment
        _log.warning('%s cannot be renewed: %s', self._path, error)

  def _is_mine(self) -> bool:
    return json.loads(self._read() or '{}').get('holder') == self._holder

  def _read(self) -> str | None:
    try:
      return self._path.read_text()
    except FileNotFoundError:
      return None

  def _write(self) -> None:
    self._beats += 1
    text = json.dumps({'holder': self._holder, 'beats': self._beats})
    atomic_file.write_text(self._path, text)

  def _taken(self) -> UserError:
    return UserError(
      f'another process is training in {str(self._path.parent)!r}; wait for it '
      'or use another workdir'
    )
