import numpy as np

from jaxssl.evals.guard import Guard
from jaxssl.runs import before_after
from tests.evals.test_guard import FakeEvaluation


def test_the_spread_is_that_of_mcnemars_table():
  random = np.random.default_rng(0)
  before = random.random(500) < 0.6
  after = np.where(random.random(500) < 0.2, random.random(500) < 0.8, before)
  right, wrong = (after & ~before).sum(), (before & ~after).sum()
  variance = (right + wrong - (right - wrong) ** 2 / 500) / 500 / 499
  found = before_after.paired_error(before, after)
  np.testing.assert_allclose(found, np.sqrt(variance), rtol=1e-12)
  # And of a bootstrap over pictures: 4000 draws know it to about 1 %.
  rows = random.integers(0, 500, (4000, 500))
  drawn = (after[rows].mean(1) - before[rows].mean(1)).std()
  np.testing.assert_allclose(drawn, found, rtol=0.05)
  # Not of two independent shares, which are three times as wide here.
  independent = np.sqrt((before.var() + after.var()) / 500)
  assert independent > 1.5 * found


def _looked(folder, **found):
  guard = Guard(
    evaluation=FakeEvaluation(**found),
    folder=folder,
    stop=False,
    margin=0.1,
    keep=lambda towers, step: None,
  )
  guard.begin(0)
  for step in (0, 10, 20):
    guard({}, step)
  return before_after.table(folder)


def test_table_of_a_run_that_was_better_on_the_way(tmp_path):
  text = _looked(tmp_path, top1={0: 0.5, 10: 0.8, 20: 0.6})
  lines = text.splitlines()
  assert lines[0].split() == [
    'kNN',
    '%',
    'neighbours',
    'kept',
    '%',
    'effective',
    'rank',
  ]
  found = {line.split('  ')[0]: line for line in lines if line[:1].isalpha()}
  assert '50.0' in found['before']
  assert '80.0' in found['best, step 10']
  assert '60.0' in found['after, step 20']
  # 6 and 2 of 20 pictures became right: sqrt(p (1 - p) / 19).
  assert f'+30.0 +- {100 * np.sqrt(0.3 * 0.7 / 19):.1f}' in text
  assert f'+10.0 +- {100 * np.sqrt(0.1 * 0.9 / 19):.1f}' in text
  assert 'over 20 pictures' in text
  assert text.endswith('best: step 10, in export/best')


def test_table_without_labels(tmp_path):
  text = _looked(tmp_path)
  assert 'kNN' not in text
  assert 'neighbours kept %' in text
  assert 'best: step 0' in text
