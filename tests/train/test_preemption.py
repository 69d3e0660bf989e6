import os
import signal
import threading

import pytest

from jaxssl.train import preemption
from jaxssl.train.preemption import StoppedError, StopRequest

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


class TestHear:
  def test_gives_what_the_work_gives(self):
    with StopRequest() as stop:
      assert [stop.hear(lambda n=n: n + 1) for n in range(3)] == [1, 2, 3]
      with pytest.raises(ZeroDivisionError):
        stop.hear(lambda: 1 / 0)
      assert stop.hear(threading.current_thread) != threading.main_thread()

  @pytest.mark.parametrize('number', SIGNALS)
  def test_leaves_what_does_not_end(self, number, monkeypatch):
    monkeypatch.setattr(preemption, '_GRACE', 0.1)
    free = threading.Event()

    def work():
      os.kill(os.getpid(), number)
      free.wait()

    with StopRequest() as stop:
      with pytest.raises(StoppedError, match=number.name):
        stop.hear(work)
      assert preemption.is_work_left()
      free.set()
      left = preemption._left[-1]
      left.result(10)
    assert not preemption.is_work_left()

  def test_waits_for_what_is_nearly_done(self):
    def work():
      os.kill(os.getpid(), signal.SIGTERM)
      return 'done'

    with StopRequest() as stop:
      assert stop.hear(work) == 'done'
      with pytest.raises(StoppedError):
        stop.hear(lambda: pytest.fail('a stop was asked'))
    assert not preemption.is_work_left()

  def test_its_thread_ends(self):
    # Threads of earlier tests may end meanwhile.
    before = set(threading.enumerate())
    with StopRequest() as stop:
      stop.hear(lambda: None)
      new = set(threading.enumerate()) - before
      (thread,) = (t for t in new if t.name == 'jaxssl heard')
    thread.join(10)
    assert not thread.is_alive()
