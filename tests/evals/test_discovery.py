import numpy as np
import pytest
from skimage import measure

from jaxssl.data.dense import Pictures
from jaxssl.data.shapes import Shapes
from jaxssl.errors import UserError
from jaxssl.evals import discovery, settings
from jaxssl.evals.discovery import Box, Discovery
from jaxssl.evals.patch_features import PatchEncoder
from tests.evals import colored


def _features(seed):
  """Noisy features of an object before a background."""
  random = np.random.default_rng(seed)
  inside = np.zeros((7, 9), bool)
  inside[2:5, 3:7] = True
  means = np.array([[1.0, 0.2, 0, 0], [0, 0.2, 1.0, 0]])
  noise = 0.3 * random.normal(size=(7, 9, 4))
  return means[inside.astype(int)] + noise, inside


@pytest.mark.parametrize('seed', range(4))
def test_the_cut_is_that_of_the_symmetric_laplacian(seed):
  features, _ = _features(seed)
  x = features.reshape(-1, 4)
  similarity = np.corrcoef(x)  # of the right shape
  for i, a in enumerate(x):
    for j, b in enumerate(x):
      cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
      similarity[i, j] = 1.0 if cosine > 0.2 else 1e-5
  # With z = sqrt(D) y it is the second largest of D^-1/2 W D^-1/2.
  root = 1 / np.sqrt(similarity.sum(axis=1))
  _, vectors = np.linalg.eigh(root[:, None] * similarity * root)
  y = vectors[:, -2] * root
  seed_of = abs(y).argmax()
  expected = y > y.mean() if y[seed_of] > y.mean() else y <= y.mean()
  part, place = discovery.cut(features, 0.2)
  np.testing.assert_array_equal(part.ravel(), expected)
  assert place == divmod(int(seed_of), 9)


def test_an_object_before_a_background_is_found():
  for seed in range(4):
    features, _ = _features(seed)
    features = features.round()  # without noise
    box = discovery.find(features + np.array([0, 0.2, 0, 0]), 0.2)
    assert box.iou(Box(2, 3, 5, 7)) > 0.7


def test_true_boxes_are_those_of_scikit_image():
  for index in range(12):
    mask = Shapes(size=48).render(index).mask
    found = discovery.true_boxes(mask, 0, 0.01)
    expected = [
      Box(*map(float, region.bbox))
      for label in range(1, 6)
      for region in measure.regionprops(
        measure.label(mask == label, connectivity=2)
      )
      if region.area >= 0.01 * mask.size
    ]
    assert sorted(found) == sorted(expected)


def test_iou_of_boxes():
  assert Box(0, 0, 2, 2).iou(Box(1, 1, 3, 3)) == pytest.approx(1 / 7)
  assert Box(0, 0, 2, 2).iou(Box(2, 0, 3, 3)) == 0
  assert Box(1, 2, 3, 4).scaled(2, 0.5) == Box(2, 1, 6, 2)


class OneObject(colored.Colored):
  """A green rectangle on red."""

  def __init__(self):
    random = np.random.default_rng(0)
    classes = np.zeros((6, 4, 6), int)
    for picture in classes:
      top, left = random.integers(0, 3), random.integers(0, 4)
      picture[top : top + 2, left : left + 3] = 1
    self._fill(classes, colored.NAMES)


def _window():
  raw = colored.encoder()
  return PatchEncoder(encode=raw.encode, size=16, stride=4)


def test_rectangles_are_found():
  pictures = Pictures(source=OneObject(), kind='mask')
  metrics = Discovery(threshold=0.5).run(_window(), pictures)
  assert metrics['corloc'] == 1
  assert metrics['num_test'] == 6
  assert metrics['constant_corloc'] < 1
  wrong = Discovery(background=1).run(_window(), pictures)
  assert wrong['corloc'] < 1


def test_pictures_without_objects_are_told():
  pictures = Pictures(source=OneObject(), kind='mask')
  with pytest.raises(UserError, match='no picture has an object'):
    Discovery(min_share=0.9).run(_window(), pictures)


# Published with results. A change here is a new version of the protocol.
def test_defaults_of_the_version():
  assert settings.settings_of(Discovery()) == {
    'threshold': 0.2,
    'min_iou': 0.5,
    'background': 0,
    'min_share': 0.01,
    'batch_size': 16,
    'size': None,
  }


def test_a_window_of_one_patch_is_told():
  patches = PatchEncoder(encode=lambda images: images, size=16, stride=16)
  pictures = Pictures(source=Shapes(count=2), kind='mask', limit=None)
  with pytest.raises(UserError, match='give --size 32 or more'):
    Discovery().run(patches, pictures)
