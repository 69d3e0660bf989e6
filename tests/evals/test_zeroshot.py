import numpy as np
import pytest

from jaxssl import errors
from jaxssl.evals import zeroshot
from jaxssl.evals.features import Features


def unit(x):
  return x / np.linalg.norm(x, axis=-1, keepdims=True)


def test_classes_are_normalised_before_and_after_the_mean():
  x = np.random.default_rng(0).normal(size=(3, 4, 5)) * [[[1], [10], [1], [3]]]
  expected = np.stack([unit(np.mean([unit(t) for t in c], 0)) for c in x])
  np.testing.assert_allclose(
    zeroshot.class_features(x), expected, rtol=0, atol=1e-6
  )


def test_metrics_equal_a_loop_in_numpy():
  draws = np.random.default_rng(1)
  labels = np.array([0, 0, 0, 1, 2, 2, 4, 5, 6, -1, 6, 1])
  images, classes = draws.normal(size=(12, 8)), unit(draws.normal(size=(8, 8)))
  found = zeroshot.zeroshot_eval(
    Features(images.astype(np.float32), labels.astype(np.int32)), classes
  )
  known = labels >= 0
  order = np.argsort(-(images @ classes.T), axis=1)[known]
  hits = order[:, 0] == labels[known]
  top5 = (order[:, :5] == labels[known, None]).any(1).mean()
  per_class = [hits[labels[known] == c].mean() for c in set(labels[known])]
  assert found['top1'] == pytest.approx(hits.mean())
  assert found['top5'] == pytest.approx(top5)
  assert found['mean_per_class'] == pytest.approx(np.mean(per_class))
  assert (found['num_classes'], found['num_test']) == (8, 11)


def encode_text(texts):
  """Says what it was told: 'red' in any template, wrongly for the bare name."""
  axes = {'red': 0, 'blue': 1}
  rows = []
  for text in texts:
    right = next(axes[word] for word in axes if word in text)
    rows.append(np.eye(2)[right if ' ' in text else 1 - right])
  return np.array(rows)


def test_gain_of_templates_over_bare_names():
  labels = np.array([0, 1], np.int32)
  images = Features(np.eye(2, dtype=np.float32), labels, ('red', 'blue'))
  protocol = zeroshot.ZeroShot(templates=('a {}', 'the {c}'))
  metrics = protocol.run(images, (), encode_text)
  assert metrics['top1'] == 1
  assert metrics['top1_names'] == 0
  assert metrics['template_gain'] == 1
  assert 'top5' not in metrics


def test_a_label_without_a_name_is_refused():
  images = Features(np.eye(3, dtype=np.float32), np.arange(3, dtype=np.int32))
  with pytest.raises(errors.UserError, match='label 2, but 2 classes'):
    zeroshot.zeroshot_eval(images, np.eye(2, 3))


def test_a_linear_classifier_decides_as_the_texts_do():
  random = np.random.default_rng(0)
  features = random.normal(size=(50, 6)).astype(np.float32)
  projection, shift = random.normal(size=(6, 4)), random.normal(size=4)

  def joint(x):
    return x @ projection + shift

  classes = zeroshot.class_features(random.normal(size=(7, 3, 4)))
  found = zeroshot.as_classifier(classes, joint, features, scale=20.0)
  logits = features @ found['kernel'] + found['bias']
  images = joint(features)
  length = np.linalg.norm(images, axis=1, keepdims=True)
  cosines = images / length @ classes.T
  np.testing.assert_array_equal(logits.argmax(1), cosines.argmax(1))
  wanted = 20.0 * cosines * length / length.mean()
  np.testing.assert_allclose(logits, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
  ('of_data', 'listed', 'wanted'),
  [
    # Longer, and in another order: by name, the others may be answered too.
    (
      ('cat', 'sea_lion'),
      ('ant', 'Sea lion', 'cat'),
      ('cat', 'Sea lion', 'ant'),
    ),
    # Other names for as many classes: in the order of the labels.
    (('n01', 'n02'), ('tench', 'goldfish'), ('tench', 'goldfish')),
    (('cat', 'n02'), ('cat', 'goldfish'), ('cat', 'goldfish')),
    # Numbers count from 0.
    (('0', '1'), ('zero', 'one', 'two'), ('zero', 'one', 'two')),
  ],
)
def test_a_list_of_classes_goes_by_name(of_data, listed, wanted, tmp_path):
  file = tmp_path / 'names.txt'
  file.write_text('\n'.join(listed))
  assert zeroshot.ZeroShot(classes=str(file)).names(of_data) == wanted


@pytest.mark.parametrize(
  ('of_data', 'listed', 'message'),
  [
    (('cat', 'dog', 'ant'), ('dog', 'cat'), "lacks 'ant'"),
    (('cat', 'dog', 'ant'), ('dog', 'cat'), 'labels: cat, dog, ant$'),
    (tuple(f'n{i}' for i in range(23)), ('a', 'b'), 'n19 and 3 more$'),
    (('n01', 'n02'), ('tench', 'goldfish', 'shark'), "lacks 'n01'"),
    # One is named at another place, so the order is not that of the labels.
    (('cat', 'n02'), ('goldfish', 'cat'), "lacks 'n02'"),
    (('crane', 'dog'), ('crane', 'crane', 'dog'), 'stands for two'),
  ],
)
def test_a_list_of_other_classes_is_refused(of_data, listed, message, tmp_path):
  file = tmp_path / 'names.txt'
  file.write_text('\n'.join(listed))
  with pytest.raises(errors.UserError, match=message):
    zeroshot.ZeroShot(classes=str(file)).names(of_data)
