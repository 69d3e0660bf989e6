"""Figures that pages compute follow from what they are computed from."""

import pathlib
import re

import pytest

from jaxssl import config

ROOT = pathlib.Path(__file__).resolve().parent.parent
TEXT = (ROOT / 'docs' / 'how_long.md').read_text(encoding='utf-8')
RESULTS = ROOT / 'benchmarks' / 'results'
IMAGENET = 1_281_167


def _rows(pattern):
  found = re.findall(pattern, TEXT, re.MULTILINE)
  assert found
  return found


@pytest.mark.parametrize(
  ('name', 'steps', 'batch', 'seconds', 'minutes'),
  _rows(r'^\| `(\w+)` \| (\d+) x (\d+) \| ([\d.]+) \| ([\d.]+) minutes \|$'),
)
def test_minutes_are_steps_times_seconds(name, steps, batch, seconds, minutes):
  train = config.load_file(name)['train']
  assert [train['steps'], train['batch_size']] == [int(steps), int(batch)]
  assert float(seconds) * int(steps) / 60 == pytest.approx(
    float(minutes), abs=0.05
  )
  measured = (RESULTS / 'methods.md').read_text()
  (row,) = re.findall(rf'^\| `{name}` .*$', measured, re.MULTILINE)
  assert f'| {seconds} |' in row


@pytest.mark.parametrize(
  ('epochs', 'rate', 'hours'),
  _rows(r'^\| [^|]+ \| (\d+) \| ([\d,]+) \| ([\d.]+) hours \|$'),
)
def test_hours_are_epochs_over_the_rate(epochs, rate, hours):
  per_second = int(rate.replace(',', ''))
  expected = int(epochs) * IMAGENET / per_second / 3600
  rounding = 0.05 if '.' in hours else 0.5
  assert expected == pytest.approx(float(hours), abs=rounding)
  assert f'| {rate} |' in (RESULTS / 'plans.md').read_text()
