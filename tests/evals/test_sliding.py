import jax
import numpy as np
import pytest

from jaxssl.data.dense import Example
from jaxssl.evals import sliding
from jaxssl.evals.patch_features import PatchEncoder

SIZES = [((3, 4), (12, 16)), ((5, 5), (13, 7)), ((6, 4), (6, 9))]


def _maps(shape):
  return np.random.default_rng(0).normal(size=(*shape, 3)).astype(np.float32)


@pytest.mark.parametrize(('old', 'new'), SIZES[:1])
def test_enlarging_is_that_of_jax(old, new):
  maps = _maps(old)
  expected = jax.image.resize(maps, (*new, 3), 'linear')
  np.testing.assert_allclose(sliding.resize(maps, new), expected, atol=1e-6)


@pytest.mark.reference
@pytest.mark.parametrize(('old', 'new'), SIZES)
def test_resizing_is_that_of_torch(old, new):
  torch = pytest.importorskip('torch')
  maps = _maps(old)
  expected = torch.nn.functional.interpolate(
    torch.tensor(maps).permute(2, 0, 1)[None],
    size=new,
    mode='bilinear',
    align_corners=False,
  )[0].permute(1, 2, 0)
  np.testing.assert_allclose(
    sliding.resize(maps, new), expected.numpy(), atol=1e-6
  )


@pytest.mark.parametrize('side', [(512, 512), (513, 1000), (900, 2000)])
def test_windows_are_those_of_mmsegmentation(side):
  # `slide_inference` with crop_size 512 and stride 341, by its formula.
  height, width = side
  expected = []
  for row in range(max(height - 512 + 341 - 1, 0) // 341 + 1):
    for column in range(max(width - 512 + 341 - 1, 0) // 341 + 1):
      bottom = min(row * 341 + 512, height)
      right = min(column * 341 + 512, width)
      expected.append((max(bottom - 512, 0), max(right - 512, 0)))
  assert sliding.corners(height, width, 512) == expected


def _identity(images):
  return np.asarray(images, np.float32)


PATCHES = PatchEncoder(encode=_identity, size=16, stride=1)


@pytest.mark.parametrize('batch_size', [1, 3, 64])
def test_windows_of_several_pictures_become_whole_pictures(batch_size):
  random = np.random.default_rng(0)
  examples = [
    Example(
      i,
      random.integers(0, 256, (*shape, 3), np.uint8),
      np.full(shape, i, np.int32),
    )
    for i, shape in enumerate([(16, 40), (16, 16), (33, 16)])
  ]
  # What is averaged where windows overlap is the picture itself.
  found = list(
    sliding.predictions(
      PATCHES.encode,
      sliding.windowed(examples, PATCHES, side=16),
      size=16,
      batch_size=batch_size,
    )
  )
  assert [target[0, 0] for target, _ in found] == [0, 1, 2]
  for example, (_, whole) in zip(examples, found, strict=True):
    np.testing.assert_allclose(whole, example.image, atol=1e-4)


def test_the_answer_has_the_size_of_the_target():
  target = np.zeros((5, 10), np.int32)
  image = np.full((16, 32, 3), 7, np.uint8)
  ((_, whole),) = sliding.predictions(
    PATCHES.encode,
    sliding.windowed([Example(0, image, target)], PATCHES, side=16),
    size=16,
    batch_size=2,
  )
  assert whole.shape == (5, 10, 3)
  np.testing.assert_allclose(whole, 7, rtol=1e-6)
