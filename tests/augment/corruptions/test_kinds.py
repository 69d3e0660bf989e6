import jax
import numpy as np
import pytest

from jaxssl import errors
from jaxssl.augment.corruptions import kinds, severities

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
# Smooth, so that blurs and shifts are small changes.
SMOOTH = np.broadcast_to(
  np.linspace(40, 200, 32)[None, :, None, None], (3, 32, 32, 3)
).astype(np.uint8)


def corrupt(kind, severity=3, images=IMAGES, seed=0):
  keys = jax.random.split(jax.random.key(seed), 3)[: len(images)]
  return np.asarray(kinds.corrupt(keys, images, kind=kind, severity=severity))


@pytest.mark.parametrize('kind', kinds.KINDS)
def test_row_depends_on_its_key_and_image_alone(kind):
  found = corrupt(kind)
  assert found.shape == IMAGES.shape
  assert found.dtype == np.uint8
  others = np.concatenate([IMAGES[:1], SMOOTH[1:]])
  np.testing.assert_array_equal(corrupt(kind, images=others)[0], found[0])
  assert (found != IMAGES).any()


@pytest.mark.parametrize('kind', ['gaussian_noise', 'contrast', 'brightness'])
def test_severity_5_is_further_off_than_1(kind):
  far, near = (
    np.abs(corrupt(kind, severity, SMOOTH).astype(int) - SMOOTH).mean()
    for severity in (5, 1)
  )
  assert far > 1.5 * near


@pytest.mark.parametrize(
  ('kind', 'message'),
  [
    ('frost', 'photographs of frost'),
    ('gausian_noise', "did you mean 'gaussian_noise'"),
  ],
)
def test_what_is_not_computed_is_said(kind, message):
  with pytest.raises(errors.UserError, match=message):
    kinds.check(kind, 1)


@pytest.mark.parametrize('severity', [0, 6])
def test_severity_is_1_to_5(severity):
  with pytest.raises(errors.UserError, match='1 to 5'):
    kinds.check('fog', severity)


def test_tiny_images_are_refused():
  with pytest.raises(errors.UserError, match='16 or more'):
    corrupt('fog', images=IMAGES[:, :8, :8])


@pytest.mark.parametrize(
  ('size', 'published'), [(32, 32), (44, 32), (64, 64), (96, 64), (336, 224)]
)
def test_numbers_are_those_of_the_nearest_published_size(size, published):
  assert severities.published_size(size) == published
  found = severities.numbers('fog', 2, size=size)
  assert found == severities.PUBLISHED[published]['fog'][1]


def test_every_kind_has_five_severities_at_every_size():
  for table in severities.PUBLISHED.values():
    assert table.keys() == kinds.KINDS.keys()
    assert all(len(levels) == 5 for levels in table.values())
