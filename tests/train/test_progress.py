import io
import logging

import pytest
from rich.console import Console

from jaxssl.train import progress

SCALARS = {
  'loss': 1.23456,
  'knn/top1': 0.875,
  'images_per_second': 1234.56,
  'seconds_left': 3723,
  'input_wait': 0.25,
  'grad_norm': 3.0,
}


def test_line_shows_what_is_known():
  assert progress.progress_line(5, 100, SCALARS) == (
    'step 5/100  loss 1.2346  knn/top1 87.5%  1234.6 images/s  1:02:03 left  '
    'input wait 25%'
  )


@pytest.mark.parametrize(
  ('seconds', 'words'),
  [(4.4, '4 seconds'), (150, '2 minutes'), (9000, '2.5 hours')],
)
def test_durations_in_words(seconds, words):
  assert progress.in_words(seconds) == words


def test_line_has_epoch_rate_and_rank():
  scalars = {'loss': 2.0, 'learning_rate': 1.25e-3, 'effective_rank': 31.25}
  line = progress.progress_line(5, 100, scalars, steps_per_epoch=2.5)
  assert line == (
    'step 5/100  epoch 2.0  loss 2.0000  rate 0.0013  effective rank 31.2'
  )


def test_last_evaluation_stays_in_the_line(caplog):
  caplog.set_level(logging.INFO)
  shown = progress.Progress(10, console=Console(file=io.StringIO()))
  shown.show(1, {'knn/top1': 0.5, 'effective_rank': 3.0, 'std': 1.0})
  shown.show(2, {'loss': 2.0})
  shown.close()
  assert caplog.messages[1] == (
    'step 2/10  loss 2.0000  knn/top1 50.0%  effective rank 3.0'
  )


def test_log_has_what_a_terminal_shows(caplog):
  caplog.set_level(logging.INFO)
  console = Console(file=io.StringIO(), force_terminal=True)
  shown = progress.Progress(10, console=console)
  shown.say('compiling ...')
  shown.show(1, {'loss': 2.0})
  shown.close()
  assert caplog.messages == ['compiling ...', 'step 1/10  loss 2.0000']
  assert all(record.shown for record in caplog.records)


def test_line_of_an_evaluation_has_no_rates():
  line = progress.progress_line(5, 100, {'knn/top1': 0.5, 'std': 0.1})
  assert line == 'step 5/100  knn/top1 50.0%'


@pytest.mark.parametrize(
  ('seconds', 'text'),
  [(0, '0:00'), (59.6, '1:00'), (245, '4:05'), (3723, '1:02:03')],
)
def test_duration(seconds, text):
  assert progress.duration(seconds) == text


def test_plain_lines_go_to_the_log(caplog):
  caplog.set_level(logging.INFO)
  shown = progress.Progress(10, console=Console(file=io.StringIO()))
  shown.show(1, {'loss': 2.0})
  shown.close()
  assert caplog.messages == ['step 1/10  loss 2.0000']


def test_terminal_shows_one_live_line():
  out = io.StringIO()
  shown = progress.Progress(10, console=Console(file=out, force_terminal=True))
  shown.show(1, {'loss': 2.0})
  shown.show(2, {'loss': 1.0})
  shown.close()
  assert 'step 2/10  loss 1.0000' in out.getvalue()
  assert out.getvalue().count('\n') == 1


class TestThroughput:
  @pytest.fixture
  def clock(self, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, 'perf_counter', lambda: now[0])
    return now

  def test_rates_since_the_last_read(self, clock):
    rates = progress.Throughput(batch_size=8)
    for _ in range(4):
      rates.step()
    clock[0] = 2.0
    assert rates.read(steps_left=10, wait_seconds=0.5) == {
      'images_per_second': 16.0,
      'seconds_left': 5.0,
      'input_wait': 0.25,
    }
    rates.step()
    clock[0] = 3.0
    assert rates.read(steps_left=9, wait_seconds=0.75) == {
      'images_per_second': 8.0,
      # 0.5 s a step at first, 1 s now: a moving mean of 0.65 s.
      'seconds_left': pytest.approx(9 * 0.65),
      'input_wait': 0.25,
    }

  def test_restart_forgets_an_evaluation(self, clock):
    rates = progress.Throughput(batch_size=8)
    clock[0] = 100.0
    rates.restart(wait_seconds=1.0)
    rates.step()
    clock[0] = 101.0
    read = rates.read(steps_left=0, wait_seconds=1.0)
    assert (read['images_per_second'], read['input_wait']) == (8.0, 0.0)

  def test_no_step_yet(self, clock):
    read = progress.Throughput(batch_size=8).read(3, 0.0)
    assert (read['images_per_second'], read['seconds_left']) == (0.0, 0.0)
