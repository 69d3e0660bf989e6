import chex
import jax
import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from jaxssl import errors
from jaxssl.evals import knn
from jaxssl.evals.features import Features

KS = (1, 5, 20)


def make_clusters(seed, rows, dim=16, classes=4, noise=1.5):
  centres = np.random.default_rng(7).normal(size=(classes, dim))
  random = np.random.default_rng(seed)
  labels = random.integers(classes, size=rows).astype(np.int32)
  features = centres[labels] + noise * random.normal(size=(rows, dim))
  return features.astype(np.float32), labels


BANK, LABELS = make_clusters(0, 230)
QUERIES, ANSWERS = make_clusters(1, 75)


def normalize(x):
  return x / np.linalg.norm(x, axis=1, keepdims=True)


def sklearn_predict(k, temperature):
  classifier = KNeighborsClassifier(
    n_neighbors=k,
    metric='cosine',
    algorithm='brute',
    weights=lambda distance: np.exp((1 - distance) / temperature),
  )
  # float64 on the other side: rounding is then ours alone.
  classifier.fit(normalize(BANK.astype(np.float64)), LABELS)
  return classifier.predict(normalize(QUERIES.astype(np.float64)))


@pytest.mark.parametrize('temperature', [0.07, 1.0])
def test_predictions_equal_scikit_learn(temperature):
  predicted = knn.knn_predict(
    BANK, LABELS, QUERIES, ks=KS, temperature=temperature
  )
  for k in KS:
    np.testing.assert_array_equal(
      predicted[k], sklearn_predict(k, temperature), err_msg=f'k={k}'
    )


@pytest.mark.parametrize('query_chunk', [8, 75, 1000])
@pytest.mark.parametrize('bank_chunk', [16, 230, 1000])
def test_chunks_do_not_change_predictions(query_chunk, bank_chunk):
  whole = knn.knn_predict(BANK, LABELS, QUERIES, ks=KS)
  chunked = knn.knn_predict(
    BANK, LABELS, QUERIES, query_chunk=query_chunk, bank_chunk=bank_chunk, ks=KS
  )
  chex.assert_trees_all_equal(chunked, whole)


def test_several_k_equal_one_at_a_time():
  together = knn.knn_predict(BANK, LABELS, QUERIES, ks=KS)
  for k in KS:
    alone = knn.knn_predict(BANK, LABELS, QUERIES, ks=(k,))
    np.testing.assert_array_equal(together[k], alone[k])


@pytest.mark.parametrize('bank_chunk', [1, 2, 6])
def test_equal_neighbours_are_taken_in_bank_order(bank_chunk):
  bank = np.ones((6, 3), np.float32)
  labels = np.array([2, 2, 0, 0, 0, 1])
  predicted = knn.knn_predict(
    bank, labels, bank[:1], bank_chunk=bank_chunk, ks=(2, 5)
  )
  assert {k: int(v[0]) for k, v in predicted.items()} == {2: 2, 5: 0}


def test_equal_votes_go_to_the_lowest_class():
  bank = np.eye(3, dtype=np.float32)
  query = np.ones((1, 3), np.float32)
  predicted = knn.knn_predict(bank, np.array([2, 1, 0]), query, ks=(3,))
  assert predicted[3].tolist() == [0]


def test_rows_without_label_do_not_vote():
  labels = np.where(np.arange(len(LABELS)) % 3 == 0, -1, LABELS)
  known = labels >= 0
  chex.assert_trees_all_equal(
    knn.knn_predict(BANK, labels, QUERIES, ks=KS),
    knn.knn_predict(BANK[known], labels[known], QUERIES, ks=KS),
  )


def test_k_above_the_bank_lets_all_rows_vote():
  predicted = knn.knn_predict(BANK, LABELS, QUERIES, ks=(len(BANK), 500))
  np.testing.assert_array_equal(predicted[500], predicted[len(BANK)])


def test_low_temperature_does_not_overflow():
  nearest = knn.knn_predict(BANK, LABELS, QUERIES, ks=(1,))[1]
  weighted = knn.knn_predict(BANK, LABELS, QUERIES, ks=(20,), temperature=1e-4)
  np.testing.assert_array_equal(weighted[20], nearest)


def test_a_zero_feature_is_far_from_all():
  bank = np.array([[0, 0], [1, 1]], np.float32)
  query = np.array([[1, 0]], np.float32)
  predicted = knn.knn_predict(bank, np.array([0, 1]), query, ks=(1,))
  assert predicted[1].tolist() == [1]


def test_eval_counts_only_labelled_rows():
  answers = np.where(np.arange(len(ANSWERS)) < 25, -1, ANSWERS)
  metrics = knn.Knn(ks=(5, 1)).run(
    Features(BANK, LABELS), Features(QUERIES, answers)
  )
  predicted = knn.knn_predict(BANK, LABELS, QUERIES[25:], ks=(5, 1))
  assert metrics == {
    'top1': (predicted[5] == ANSWERS[25:]).mean(),
    'mean_per_class': np.mean(
      [
        (predicted[5] == ANSWERS[25:])[ANSWERS[25:] == c].mean()
        for c in np.unique(ANSWERS[25:])
      ]
    ),
    'top1_k1': (predicted[1] == ANSWERS[25:]).mean(),
    'top1_k5': (predicted[5] == ANSWERS[25:]).mean(),
    'num_train': 230,
    'num_test': 50,
  }


def test_same_shapes_compile_once():
  knn.knn_predict(BANK, LABELS, QUERIES, ks=(3,))
  before = knn._similarity._cache_size()
  knn.knn_predict(BANK[::-1], LABELS[::-1], QUERIES, ks=(3,))
  assert knn._similarity._cache_size() == before


@pytest.mark.parametrize('masked', [False, True])
def test_the_host_merges_as_an_accelerator_does(masked):
  rng = np.random.default_rng(0)
  # Few different numbers: many neighbours are equally near.
  queries = rng.integers(-1, 2, (7, 4)).astype(np.float32)
  chunks = rng.integers(-1, 2, (3, 40, 4)).astype(np.float32)
  labels = rng.integers(-1 if masked else 0, 5, (3, 40)).astype(np.int32)
  host = device = None
  for rows, votes in zip(chunks, labels, strict=True):
    host = knn._merge_on_host(
      host, queries, rows, votes, count=50, masked=masked
    )
    device = knn._merge(device, queries, rows, votes, count=50, masked=masked)
  chex.assert_trees_all_equal(host, jax.tree.map(np.asarray, device))


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({'bank_labels': np.full(230, -1)}, 'label >= 0'),
    ({'queries': QUERIES[:0]}, 'at least one query'),
    ({'queries': QUERIES[:, :3]}, 'do not fit'),
    ({'bank_labels': LABELS[:3]}, 'do not fit'),
  ],
)
def test_wrong_input_is_a_user_error(change, message):
  good = {'bank': BANK, 'bank_labels': LABELS, 'queries': QUERIES}
  with pytest.raises(errors.UserError, match=message):
    knn.knn_predict(**{**good, **change})


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({'ks': ()}, 'ks must be'),
    ({'ks': (0, 5)}, 'ks must be'),
    ({'temperature': 0.0}, 'temperature above 0'),
  ],
)
def test_settings_that_make_no_sense_are_a_user_error(change, message):
  with pytest.raises(errors.UserError, match=message):
    knn.Knn(**change)


def test_eval_without_labels_names_the_split():
  unlabelled = Features(QUERIES, np.full(len(QUERIES), -1))
  with pytest.raises(errors.UserError, match='test split has a label'):
    knn.Knn().run(Features(BANK, LABELS), unlabelled)
