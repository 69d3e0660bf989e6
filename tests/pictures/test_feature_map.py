import itertools

import numpy as np
from PIL import Image
import pytest
from sklearn.decomposition import PCA

from jaxssl import errors
from jaxssl.evals.features import Features
from jaxssl.pictures import canvas, feature_map, palette


def make_data(rows=60, dim=6):
  random = np.random.default_rng(0)
  labels = np.arange(rows) % 3
  features = 5 * np.eye(3, dim)[labels] + random.normal(size=(rows, dim))
  return Features(
    features.astype(np.float32), labels.astype(np.int32), ('a', 'b', 'c')
  )


def test_pca_equals_scikit_learn_up_to_sign():
  features = make_data().features
  points, share = feature_map.pca(features, dims=3)
  wanted = PCA(3).fit(features.astype(np.float64))
  theirs = wanted.transform(features)
  # Both run in float64 on the same float32 numbers.
  np.testing.assert_allclose(np.abs(points), np.abs(theirs), atol=1e-5)
  np.testing.assert_allclose(share, wanted.explained_variance_ratio_, rtol=1e-6)


def test_pca_sign_does_not_depend_on_the_order_of_rows():
  features = make_data().features
  points, _ = feature_map.pca(features)
  back, _ = feature_map.pca(features[::-1])
  np.testing.assert_allclose(back[::-1], points, atol=1e-4)


def test_tsne_is_repeatable_and_keeps_neighbours():
  data = make_data()
  points = feature_map.tsne(data.features, seed=1)
  np.testing.assert_array_equal(points, feature_map.tsne(data.features, seed=1))
  distance = np.linalg.norm(points[:, None] - points[None], axis=-1)
  np.fill_diagonal(distance, np.inf)
  same = data.labels[distance.argmin(axis=1)] == data.labels
  assert same.mean() > 0.9


def test_map_is_drawn_with_classes_and_unknown_labels(tmp_path):
  data = make_data()
  data.labels[:5] = -1
  path = tmp_path / 'map.png'
  feature_map.feature_map(data, path)
  pixels = np.asarray(Image.open(path).convert('RGB')).reshape(-1, 3)
  for style in palette.class_styles(3):
    color = np.array(
      [int(style['color'][i : i + 2], 16) for i in (1, 3, 5)], int
    )
    # Points are a little transparent, so they are mixed with white.
    mixed = np.round(0.8 * color + 0.2 * 255)
    assert (np.abs(pixels - mixed).max(axis=1) <= 2).any()


def test_only_some_points_of_many_are_drawn():
  features, labels = feature_map._sample(make_data(), 10, seed=0)
  assert len(features) == len(labels) == 10
  again, _ = feature_map._sample(make_data(), 10, seed=0)
  np.testing.assert_array_equal(features, again)


@pytest.mark.parametrize(
  ('data', 'methods', 'message'),
  [
    (make_data(), ('pcb',), "did you mean 'pca'"),
    (make_data(3), ('pca',), 'at least four images'),
    (make_data(dim=1), ('pca',), 'two dimensions'),
  ],
)
def test_what_cannot_be_drawn_is_a_user_error(tmp_path, data, methods, message):
  with pytest.raises(errors.UserError, match=message):
    feature_map.feature_map(data, tmp_path / 'map.png', methods=methods)


@pytest.mark.parametrize('num_classes', [7, 19, 140])
def test_styles_of_classes_differ(num_classes):
  styles = palette.class_styles(num_classes)
  assert len({tuple(style.items()) for style in styles}) == num_classes
  # Of those that stand side by side in the legend, both colour and shape.
  if num_classes > 7:
    for one, other in itertools.pairwise(styles):
      assert one['color'] != other['color']
      assert one['marker'] != other['marker']
  assert len(palette.class_styles(150)) == 150


def test_names_stand_at_their_clusters(tmp_path, monkeypatch):
  drawn = []
  monkeypatch.setattr(canvas, 'save', lambda figure, _: drawn.append(figure))
  data = make_data()
  feature_map.feature_map(data, tmp_path / 'map.png', methods=('pca',))
  (axes,) = drawn[0].axes
  places = {text.get_text(): text.xy for text in axes.texts}
  assert places.keys() == {'a', 'b', 'c'}
  points, _ = feature_map.pca(data.features)
  for label, name in enumerate('abc'):
    nearest = np.linalg.norm(points - places[name], axis=1).argmin()
    assert data.labels[nearest] == label
