import hashlib

import numpy as np
import pytest
from skimage.measure import points_in_poly

from jaxssl.data import scenes
from jaxssl.data.shapes import Shapes
from jaxssl.errors import UserError

# A change of it is a new `_VERSION`.
DIGEST = '4d8885cd68f50a8b'
CORNERS = {
  'square': [(0.7, 0.7), (-0.7, 0.7), (-0.7, -0.7), (0.7, -0.7)],
  'triangle': [
    (0, 1),
    (np.sqrt(3) / 2, -0.5),
    (-np.sqrt(3) / 2, -0.5),
  ],
}


def test_pictures_are_pinned_and_follow_from_seed_split_and_index():
  source = Shapes(size=32)
  content = source.fetch(np.array([3])).content[0]
  digest = hashlib.sha256(content.tobytes()).hexdigest()
  assert digest.startswith(DIGEST)
  np.testing.assert_array_equal(
    Shapes(size=32, count=4).fetch(np.array([3])).content[0], content
  )
  for other in (Shapes(size=32, seed=1), Shapes(size=32, split='test')):
    assert (other.fetch(np.array([3])).content[0] != content).any()
    assert other.fingerprint != source.fingerprint


def test_the_label_is_that_of_the_nearest_shape_and_classes_are_as_frequent():
  records = Shapes(size=16, count=400).fetch(np.arange(400))
  assert set(np.bincount(records.label) // 40) == {1, 2}
  source = Shapes(size=64)
  for index in range(20):
    found = source.render(index)
    nearest = found.depth[found.owner == found.owner.max()]
    if nearest.size and found.owner.max():
      label = source.fetch(np.array([index])).label[0]
      own = found.mask[found.owner == found.owner.max()]
      assert (own == label + 1).all()


def _single(name):
  """Yields scenes of one shape of a class."""
  source = Shapes(size=48, count=200)
  for index in range(200):
    scene = source.scene(index)
    if len(scene.shapes) == 1 and name == scenes.CLASSES[scene.shapes[0].label]:
      yield scene


@pytest.mark.parametrize('name', CORNERS)
def test_masks_are_the_pixels_whose_middle_lies_in_the_polygon(name):
  middles = np.stack(np.meshgrid(*[np.arange(48) + 0.5] * 2), axis=-1)
  found = list(_single(name))
  assert len(found) > 3
  for scene in found:
    pose = scene.shapes[0].poses[0]
    local = np.array(CORNERS[name]).T
    polygon = np.stack(pose.to_picture(*local), axis=-1)
    expected = points_in_poly(middles.reshape(-1, 2), polygon)
    mask = scenes.render(scene, 0).mask > 0
    np.testing.assert_array_equal(mask, expected.reshape(48, 48))


def test_depth_hides_what_is_behind_and_the_ground_rises_to_the_horizon():
  for index in range(10):
    scene = Shapes(size=48).scene(index)
    found = scenes.render(scene, 0)
    depths = [shape.depth for shape in scene.shapes]
    assert depths == sorted(depths, reverse=True)
    ground = np.where(found.owner == 0, found.depth, np.nan)
    rows = ground[:, (found.owner == 0).all(axis=0)][:, :1]
    assert (np.diff(rows, axis=0) < 0).all()
    shown = found.depth[found.owner > 0]
    assert shown.max(initial=0) < ground[found.owner == 0].min()


def test_what_moves_is_found_again():
  seen = 0
  for index in range(12):
    scene = Shapes(size=64).scene(index)
    moved = scenes.moved(scene)
    after = scenes.render(scene, 1)
    np.testing.assert_array_equal(moved.moved, after.image)
    before = scenes.render(scene, 0)
    known = ~np.isnan(moved.places[..., 0])
    column, row = moved.places[known].astype(int).T
    np.testing.assert_array_equal(after.owner[row, column], before.owner[known])
    # The same place on the same surface, up to the middle of the pixel.
    there = after.image[row, column].astype(float)
    difference = abs(there - before.image[known]).mean()
    shuffled = abs(np.roll(there, 97, axis=0) - before.image[known]).mean()
    assert difference < 12 < shuffled
    seen += known.mean() / 12
  assert seen > 0.7


def test_wrong_arguments_are_told():
  with pytest.raises(UserError, match="did you mean 'test'"):
    Shapes(split='tests')
  with pytest.raises(UserError, match='at least 16'):
    Shapes(size=8)
