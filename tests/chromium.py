"""A browser without a window, through the pipes of its DevTools protocol.

`--remote-debugging-pipe`: messages are JSON that ends with a zero byte, read by
Chromium from descriptor 3 and written to 4. So no port is opened, and no
library is needed.
"""

import base64
from collections.abc import Iterator, Mapping
import contextlib
import json
import os
import pathlib
import select
import shutil
import signal
import subprocess
import tempfile
import time
from typing import Any

_NAMES = ('chromium', 'chromium-browser', 'google-chrome', 'chrome')
_FLAGS = (
  '--headless',
  '--no-sandbox',  # root of a container may not have one
  '--disable-gpu',
  '--disable-quic',
  '--disable-dev-shm-usage',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--no-first-run',
  '--remote-debugging-pipe',
)
_SECONDS = 60
# Width, height, and whether it is a phone, which scales by the viewport.
SIZES = {'desktop': (1280, 900, False), 'phone': (390, 844, True)}


def path() -> str | None:
  """Chromium's program; `CHROMIUM` names one that must be there."""
  named = os.environ.get('CHROMIUM')
  return named or next(filter(None, map(shutil.which, _NAMES)), None)


class Browser:
  """One page of a browser.

  Attributes:
    complaints: what it has said of the page: errors and warnings, of scripts,
      of what was not loaded, and of what its policy forbids.
    requests: addresses that it has asked for.
  """

  def __init__(self, to_browser: int, from_browser: int):
    self._to, self._from = to_browser, from_browser
    self._number, self._rest, self._session = 0, b'', None
    self.complaints, self.requests = [], []
    self._events = []
    target = self._call('Target.createTarget', url='about:blank')['targetId']
    self._session = self._call(
      'Target.attachToTarget', targetId=target, flatten=True
    )['sessionId']
    for domain in ('Page', 'Runtime', 'Log', 'Network'):
      self._call(f'{domain}.enable')

  def open(self, address: str, size: str) -> None:
    """Loads a page, in one of `SIZES`, and waits until all of it is there."""
    width, height, mobile = SIZES[size]
    self._call(
      'Emulation.setDeviceMetricsOverride',
      width=width,
      height=height,
      deviceScaleFactor=1,
      mobile=mobile,
    )
    self._events.clear()
    failed = self._call('Page.navigate', url=address).get('errorText')
    assert not failed, failed
    self.wait_for('Page.loadEventFired')

  def wait_for(self, event: str) -> None:
    """Waits until the page was loaded, for example by itself again."""
    while event not in self._events:
      self._take(self._read())
    self._events.remove(event)

  def value(self, expression: str) -> Any:
    """The value of an expression of JavaScript in the page."""
    done = self._call(
      'Runtime.evaluate', expression=expression, returnByValue=True
    )
    assert 'exceptionDetails' not in done, done
    return done['result'].get('value')

  def screenshot(self, file: pathlib.Path) -> None:
    """Writes the whole page, also what lies below the window, as a PNG."""
    shot = self._call(
      'Page.captureScreenshot', captureBeyondViewport=True, format='png'
    )
    file.write_bytes(base64.b64decode(shot['data']))

  def close(self) -> None:
    self._session = None
    self._call('Browser.close')

  def _call(self, method: str, **parameters: Any) -> Mapping[str, Any]:
    self._number += 1
    message = {'id': self._number, 'method': method, 'params': parameters}
    if self._session:
      message['sessionId'] = self._session
    os.write(self._to, json.dumps(message).encode() + b'\0')
    while True:
      answer = self._read()
      if answer.get('id') == self._number:
        assert 'error' not in answer, (method, answer)
        return answer['result']
      self._take(answer)

  def _read(self) -> Mapping[str, Any]:
    end = time.monotonic() + _SECONDS
    while b'\0' not in self._rest:
      ready, _, _ = select.select([self._from], [], [], end - time.monotonic())
      assert ready, f'the browser said nothing for {_SECONDS} seconds'
      read = os.read(self._from, 1 << 20)
      assert read, 'the browser has ended'
      self._rest += read
    message, _, self._rest = self._rest.partition(b'\0')
    return json.loads(message)

  def _take(self, event: Mapping[str, Any]) -> None:
    method, found = event.get('method', ''), event.get('params', {})
    self._events.append(method)
    if method == 'Network.requestWillBeSent':
      self.requests.append(found['request']['url'])
    elif method in ('Runtime.exceptionThrown', 'Runtime.consoleAPICalled'):
      self.complaints.append(found)
    elif method == 'Log.entryAdded' and found['entry']['level'] != 'verbose':
      self.complaints.append(found['entry'])


@contextlib.contextmanager
def browser() -> Iterator[Browser]:
  """A browser with a profile of its own, which is gone afterwards."""
  to_browser, from_browser = os.pipe(), os.pipe()
  with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
    # The shell gives the pipes the numbers that Chromium wants.
    script = f'exec "$@" 3<&{to_browser[0]} 4>&{from_browser[1]}'
    flags = (*_FLAGS, f'--user-data-dir={profile}')
    process = subprocess.Popen(
      ['bash', '-c', script, 'bash', path(), *flags],
      pass_fds=(to_browser[0], from_browser[1]),
      stdout=subprocess.DEVNULL,
      stderr=subprocess.DEVNULL,
      start_new_session=True,
    )
    os.close(to_browser[0])
    os.close(from_browser[1])
    try:
      page = Browser(to_browser[1], from_browser[0])
      yield page
      page.close()
      process.wait(_SECONDS)
    finally:
      with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
      process.wait()
      os.close(to_browser[1])
      os.close(from_browser[0])
