import numpy as np
import pytest
from skimage import transform

from jaxssl.data.dense import Pictures
from jaxssl.data.digits import digits
from jaxssl.data.shapes import Shapes
from jaxssl.errors import UserError
from jaxssl.evals import correspondence, patch_features, settings
from jaxssl.evals.correspondence import Correspondence
from jaxssl.evals.patch_features import PatchEncoder

PATCHES = PatchEncoder(encode=patch_features.raw_colors(4), size=32, stride=4)
SHAPES = Pictures(source=Shapes(size=32, count=6), kind=None)


def test_a_warped_picture_shows_each_place_where_the_matrix_says():
  matrix = Correspondence()._warp(64, 3)
  for x, y in ((20, 30), (40, 25), (33, 41)):
    image = np.zeros((64, 64, 3), np.uint8)
    image[y - 1 : y + 1, x - 1 : x + 1] = 255  # its middle is (x, y)
    warped = correspondence.warp_image(image, matrix)[..., 0].astype(float)
    rows, columns = np.indices(warped.shape) + 0.5
    middle = [
      (columns * warped).sum() / warped.sum(),
      (rows * warped).sum() / warped.sum(),
    ]
    np.testing.assert_allclose(middle, matrix @ (x, y, 1), atol=0.3)


def test_a_warp_is_a_similarity_within_its_limits():
  protocol = Correspondence(rotation=20.0, zoom=1.5, shift=0.2)
  found = []
  for index in range(100):
    matrix = np.vstack([protocol._warp(100, index), [0, 0, 1]])
    similarity = transform.SimilarityTransform(matrix=matrix)
    middle = similarity([[50, 50]])[0] - 50
    found.append((similarity.rotation, np.log(similarity.scale), *middle))
  largest = np.abs(found).max(axis=0)
  limits = (np.deg2rad(20), np.log(1.5), 20, 20)
  assert (largest <= np.array(limits) * (1 + 1e-9)).all()
  assert (largest > 0.9 * np.array(limits)).all()


def test_what_has_not_moved_is_found():
  still = Correspondence(rotation=0.0, zoom=1.0, shift=0.0)
  metrics = still.run(PATCHES, SHAPES)
  assert metrics['pck'] == metrics['best_pck'] == metrics['pck_0.05'] == 1
  assert metrics['num_patches'] == 6 * 64
  # Of 64 patches one to four neighbours are within a tenth of the side: none.
  assert metrics['constant_pck'] == pytest.approx(1 / 64)


def test_the_share_is_that_of_loops():
  protocol = Correspondence(alphas=(0.15,))
  metrics = protocol.run(PATCHES, SHAPES)
  right = best = total = 0
  for example in SHAPES:
    matrix = protocol._warp(32, example.index)
    warped = correspondence.warp_image(example.image, matrix)
    for row in range(8):
      for column in range(8):
        x, y = matrix @ (4 * column + 2, 4 * row + 2, 1)
        if not (0 <= x < 32 and 0 <= y < 32):
          continue
        patch = example.image[
          4 * row : 4 * row + 4, 4 * column : 4 * column + 4
        ]
        cosines = {}
        for r in range(8):
          for c in range(8):
            other = warped[4 * r : 4 * r + 4, 4 * c : 4 * c + 4]
            a, b = (v.ravel().astype(float) for v in (patch, other))
            norm = np.linalg.norm(a) * max(np.linalg.norm(b), 1e-9)
            cosines[r, c] = a @ b / norm
        away = {
          (r, c): np.hypot(4 * c + 2 - x, 4 * r + 2 - y) / 32
          for r, c in cosines
        }
        right += away[max(cosines, key=cosines.get)] <= 0.15
        best += min(away.values()) <= 0.15
        total += 1
  assert metrics['num_patches'] == total
  assert metrics['best_pck'] == pytest.approx(best / total)
  assert metrics['pck'] == pytest.approx(right / total, abs=1.5 / total)


def test_things_that_move_by_themselves():
  metrics = Correspondence(pairs='moved').run(PATCHES, SHAPES)
  assert metrics['constant_pck'] < metrics['pck'] < metrics['best_pck'] == 1
  larger = PatchEncoder(encode=patch_features.raw_colors(8), size=64, stride=8)
  twice = Correspondence(pairs='moved').run(larger, SHAPES)
  assert abs(twice['num_patches'] - metrics['num_patches']) <= 4


def test_pairs_that_nobody_knows_are_told():
  with pytest.raises(UserError, match='does not know what moves where'):
    Correspondence(pairs='moved').check(digits())
  Correspondence().check(digits())
  with pytest.raises(UserError, match="did you mean 'warp'"):
    Correspondence(pairs='warpp')
  with pytest.raises(UserError, match='zoom at least 1'):
    Correspondence(zoom=0.5)


# Published with results. A change here is a new version of the protocol.
def test_defaults_of_the_version():
  assert settings.settings_of(Correspondence()) == {
    'alphas': (0.1, 0.05, 0.2),
    'pairs': 'warp',
    'rotation': 30.0,
    'zoom': 1.25,
    'shift': 0.1,
    'batch_size': 16,
    'size': None,
    'seed': 0,
  }
