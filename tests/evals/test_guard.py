import json

import numpy as np
import pytest

from jaxssl.errors import UserError
from jaxssl.evals import guard as guard_lib
from jaxssl.evals import neighbour_sets
from jaxssl.evals.guard import Guard
from jaxssl.evals.online import Look


class FakeEvaluation:
  """Looks whose kNN and features are given by the step."""

  k = 3

  def __init__(self, top1=None, features=None):
    self.top1, self.features = top1 or {}, features or {}

  def look(self, towers, step):
    del towers
    random = np.random.default_rng(0)
    features = self.features.get(step, random.normal(size=(20, 4)))
    scalars, right = {'effective_rank': 4.0}, None
    if step in self.top1:
      right = np.arange(20) < round(20 * self.top1[step])
      scalars['knn/top1'] = float(right.mean())
    return Look(scalars=scalars, features=features, right=right)


def _guard(folder, *, stop=False, kept=None, **found):
  return Guard(
    evaluation=FakeEvaluation(**found),
    folder=folder,
    stop=stop,
    margin=0.1,
    keep=lambda towers, step: kept.append(step) if kept is not None else None,
  )


class TestWithLabels:
  TOP1 = {0: 0.5, 10: 0.8, 20: 0.7, 30: 0.3}  # noqa: RUF012

  def test_the_best_is_kept_and_a_fall_is_told_once(self, tmp_path, caplog):
    kept = []
    guard = _guard(tmp_path, kept=kept, top1={**self.TOP1, 40: 0.3})
    assert guard.begin(0) is None
    for step in (0, 10, 20, 30, 40):
      scalars = guard({}, step)
      assert scalars['knn/agreement'] == 1.0  # the features are the same
      assert guard.verdict() is None
    assert kept == [0, 10]
    assert guard.best['step'] == 10
    assert caplog.text.count('fell from 50.0% to 30.0%') == 1
    assert 'export/best holds the encoder of step 10' in caplog.text

  def test_a_fall_within_the_margin_is_none(self):
    start = {'knn/top1': 0.5}
    assert guard_lib.fall_of(start, {'knn/top1': 0.4}, 0.1) is None
    assert 'more than 10 points' in str(
      guard_lib.fall_of(start, {'knn/top1': 0.39}, 0.1)
    )

  @pytest.mark.parametrize(
    ('before', 'after', 'fell'),
    [(14.8, 1.6, True), (14.8, 2.5, False), (1.5, 1.5, False)],
  )
  def test_a_collapse_that_the_knn_does_not_see_is_a_fall(
    self, before, after, fell
  ):
    start = {'knn/top1': 0.45, 'effective_rank': before}
    now = {'knn/top1': 0.4, 'effective_rank': after}
    assert (guard_lib.fall_of(start, now, 0.1) is not None) == fell

  def test_it_ends_the_run_where_it_is_asked_to(self, tmp_path):
    guard = _guard(tmp_path, stop=True, top1=self.TOP1)
    guard.begin(0)
    verdicts = []
    for step in (0, 10, 20, 30):
      guard({}, step)
      verdicts.append(guard.verdict())
    assert verdicts[:3] == [None] * 3
    assert 'step 30' in verdicts[3]
    # Another process finds the same.
    assert _guard(tmp_path, stop=True).begin(30) == verdicts[3]
    assert _guard(tmp_path, stop=True).begin(20) is None

  def test_going_on_ends_as_going_through(self, tmp_path):
    kept = []
    through = _guard(tmp_path / 'a', kept=kept, top1=self.TOP1)
    through.begin(0)
    for step in self.TOP1:
      through({}, step)
    again = []
    stopped = _guard(tmp_path / 'b', top1=self.TOP1)
    stopped.begin(0)
    for step in (0, 10, 20):
      stopped({}, step)
    # Its state of step 20 was lost, that of step 10 was not.
    resumed = _guard(tmp_path / 'b', kept=again, top1=self.TOP1)
    resumed.begin(10)
    for step in (20, 30):
      resumed({}, step)
    assert again == []
    assert resumed.looks == through.looks
    assert resumed.best == through.best
    names = sorted(path.name for path in (tmp_path / 'a').iterdir())
    for name in names:
      one, other = ((tmp_path / x / name).read_bytes() for x in 'ab')
      assert one == other, name

  def test_from_the_start_nothing_is_remembered(self, tmp_path):
    guard = _guard(tmp_path, top1=self.TOP1)
    guard.begin(0)
    guard({}, 0)
    again = _guard(tmp_path, top1=self.TOP1)
    again.begin(0)
    assert again.looks == []


class TestWithoutLabels:
  def test_lost_neighbours_are_a_fall(self, tmp_path, caplog):
    random = np.random.default_rng(1)
    features = {s: random.normal(size=(400, 8)) for s in (0, 10)}
    guard = _guard(tmp_path, features=features)
    guard.begin(0)
    guard({}, 0)
    found = guard({}, 10)
    # By chance three of 399.
    assert found['knn/agreement'] < 0.05
    assert 'of their neighbours, fewer than 10%' in caplog.text
    assert guard.best['step'] == 0

  def test_lost_neighbours_of_few_pictures_are_seen(self, tmp_path):
    random = np.random.default_rng(1)
    features = {s: random.normal(size=(20, 8)) for s in (0, 10)}
    guard = _guard(tmp_path, features=features)
    guard.begin(0)
    guard({}, 0)
    # Two neighbours each: by chance, two of 19.
    assert guard({}, 10)['knn/agreement'] < 0.4

  @pytest.mark.parametrize(('rank', 'fell'), [(2.1, False), (1.9, True)])
  def test_a_lost_rank_is_a_fall(self, rank, fell):
    start = {'effective_rank': 4.0, 'knn/agreement': 1.0}
    now = {'effective_rank': rank, 'knn/agreement': 0.5}
    assert (guard_lib.fall_of(start, now, 0.1) is not None) == fell

  def test_a_rank_that_is_no_number_is_a_fall(self):
    start = {'effective_rank': 4.0, 'knn/agreement': 1.0}
    now = {'effective_rank': float('nan'), 'knn/agreement': 0.5}
    assert guard_lib.fall_of(start, now, 0.1) is not None


@pytest.mark.parametrize('harm', ['', '{', '[{"x": 1}]'])
def test_a_damaged_file_is_told(harm, tmp_path):
  guard = _guard(tmp_path, top1={0: 0.5, 10: 0.5})
  guard.begin(0)
  guard({}, 0)
  (tmp_path / 'looks.json').write_text(harm)
  with pytest.raises(UserError, match=r'looks\.json cannot be read'):
    guard.begin(10)


def test_a_lost_start_is_told(tmp_path):
  guard = _guard(tmp_path, top1={0: 0.5, 10: 0.5})
  guard.begin(0)
  guard({}, 0)
  (tmp_path / 'start.npz').unlink()
  with pytest.raises(UserError, match=r'start\.npz cannot be read'):
    guard({}, 10)


def test_looks_are_plain_json(tmp_path):
  guard = _guard(tmp_path, top1={0: 0.5})
  guard.begin(0)
  guard({}, 0)
  assert json.loads((tmp_path / 'looks.json').read_text())[0]['step'] == 0


class TestNeighbourSets:
  def test_neighbours_are_those_of_scikit_learn(self):
    from sklearn.neighbors import NearestNeighbors

    features = np.random.default_rng(0).normal(size=(60, 5))
    found = neighbour_sets.nearest(features, k=4)
    model = NearestNeighbors(n_neighbors=5, metric='cosine').fit(features)
    expected = model.kneighbors(features, return_distance=False)[:, 1:]
    np.testing.assert_array_equal(found, expected)

  def test_overlap_counts_in_any_order(self):
    one = np.array([[1, 2, 3], [4, 5, 6]])
    other = np.array([[3, 1, 9], [6, 4, 5]])
    np.testing.assert_allclose(neighbour_sets.overlap(one, other), [2 / 3, 1])

  def test_few_rows_have_few_neighbours(self):
    assert neighbour_sets.nearest(np.eye(3), k=20).shape == (3, 2)
