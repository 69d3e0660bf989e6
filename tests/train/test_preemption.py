import os
import signal

import pytest

from jaxssl.train.preemption import StopRequest

SIGNALS = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP]


@pytest.mark.parametrize('number', SIGNALS)
def test_signal_is_a_request(number):
  with StopRequest() as stop:
    assert stop.requested is None
    os.kill(os.getpid(), number)
    assert stop.requested == number.name


@pytest.fixture
def usual_interrupt():
  # A process that was started in the background ignores SIGINT by default.
  before = signal.signal(signal.SIGINT, signal.default_int_handler)
  yield
  signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures('usual_interrupt')
def test_second_signal_has_its_usual_effect():
  with StopRequest():
    os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
      os.kill(os.getpid(), signal.SIGINT)


def test_a_closed_terminal_may_say_so_twice():
  with StopRequest() as stop:
    for _ in range(2):
      os.kill(os.getpid(), signal.SIGHUP)
    assert stop.requested == 'SIGHUP'


def test_nohup_is_heeded():
  before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
  try:
    with StopRequest() as stop:
      os.kill(os.getpid(), signal.SIGHUP)
      assert stop.requested is None
  finally:
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize('number', SIGNALS)
def test_handlers_are_put_back(number):
  before = signal.getsignal(number)
  with StopRequest():
    assert signal.getsignal(number) != before
  assert signal.getsignal(number) == before


def test_handlers_are_put_back_after_an_error():
  before = signal.getsignal(signal.SIGTERM)
  with pytest.raises(RuntimeError, match='step failed'), StopRequest():
    raise RuntimeError('step failed')
  assert signal.getsignal(signal.SIGTERM) == before
