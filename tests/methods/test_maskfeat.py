import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from jaxssl import errors, models
from jaxssl.methods import MaskFeat
from jaxssl.ops import hog

ROWS, SIZE, PATCH, CELL = 3, 32, 8, 4


def _images(seed=0):
  random = np.random.default_rng(seed)
  return random.normal(size=(ROWS, SIZE, SIZE, 3)).astype(np.float32)


def _method(**changes):
  encoder = models.make_encoder(
    'vit_ti8', dim=32, depth=2, num_heads=4, use_mask_token=True
  )
  values = {'num_masked': 7, 'min_block': 2, 'cell': CELL, **changes}
  return MaskFeat(encoder=encoder, **values)


def _histogram(image, top, left, cell):
  """Of one channel, by SciPy's Sobel and NumPy's histogram, in float64."""
  # SciPy's point the other way, which no unsigned direction depends on.
  down, right = (ndimage.sobel(image, axis, mode='mirror') for axis in (0, 1))
  window = np.s_[top : top + cell, left : left + cell]
  down, right = down[window], right[window]
  # The authors measure the angle from the vertical axis.
  angle = np.arctan2(right, down) % np.pi
  found, _ = np.histogram(
    angle, bins=9, range=(0, np.pi), weights=np.hypot(down, right)
  )
  return found / np.linalg.norm(found)


def test_histograms_equal_scipys_and_numpys():
  images = _images()
  found = hog.histograms(jnp.asarray(images), CELL)
  assert found.shape == (ROWS, SIZE // CELL, SIZE // CELL, 3, 9)
  for row, i, j, channel in np.ndindex(ROWS, 8, 8, 3):
    expected = _histogram(
      np.float64(images[row, ..., channel]), CELL * i, CELL * j, CELL
    )
    np.testing.assert_allclose(
      found[row, i, j, channel], expected, rtol=1e-4, atol=1e-6
    )


@pytest.mark.reference
def test_histograms_equal_the_authors_steps_in_torch():
  import torch
  from torch.nn import functional

  x = torch.tensor(_images()).permute(0, 3, 1, 2)
  padded = functional.pad(x, (1, 1, 1, 1), mode='reflect')
  kernel = torch.tensor([[1.0, 0, -1], [2, 0, -2], [1, 0, -1]])
  right, down = (
    functional.conv2d(padded, k.expand(3, 1, 3, 3), groups=3)
    for k in (kernel, kernel.T)
  )
  bins = (torch.atan2(right, down) / torch.pi * 9).floor().long() % 9
  votes = torch.zeros(ROWS, 3, 9, SIZE, SIZE)
  votes.scatter_(2, bins[:, :, None], torch.hypot(right, down)[:, :, None])
  sums = votes.unfold(3, 8, 8).unfold(4, 8, 8).sum((-1, -2))
  expected = functional.normalize(sums, dim=2).permute(0, 3, 4, 1, 2)
  found = hog.histograms(jnp.asarray(_images()), 8)
  np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_a_flat_cell_is_zero_and_an_edge_has_one_direction():
  image = np.zeros((1, 16, 16, 1), np.float32)
  image[:, :, 12:] = 7.3
  found = np.asarray(hog.histograms(jnp.asarray(image), 8))[0, :, :, 0]
  assert not found[:, 0].any()
  # Along the horizontal axis: a right angle from the vertical one.
  np.testing.assert_array_equal(found[:, 1], np.eye(9)[[4, 4]])


def test_colours_may_be_scaled_and_shifted():
  images = jnp.asarray(_images())
  changed = images * jnp.array([0.2, 1.0, 4.0])[None, None, None] + 0.5
  np.testing.assert_allclose(
    hog.histograms(changed, 8), hog.histograms(images, 8), atol=1e-3
  )


def test_loss_is_that_of_the_hidden_patches_of_all_rows(monkeypatch):
  method, images = _method(), jnp.asarray(_images())
  batch = {'views': (images,)}
  params, state = method.init(jax.random.key(0), batch)
  params['head'] = jax.tree.map(lambda x: 30 * x, params['head'])
  # Rows hide different numbers of patches, one of them none.
  mask = np.arange(16)[None] % 5 == np.array([[1], [2], [9]])
  mask[0, 7:10] = True
  monkeypatch.setattr(MaskFeat, 'draw_mask', lambda *_: jnp.asarray(mask))
  keys = jax.random.split(jax.random.key(1), ROWS)
  sums, _ = method.sums(params, state, batch, keys=keys, step=0)
  _, out = method.encoder.apply(
    {'params': params['encoder']}, images, mask=jnp.asarray(mask)
  )
  head = params['head']
  total = 0.0
  for row, patch in zip(*np.nonzero(mask), strict=True):
    top, left = (PATCH * place for place in divmod(patch, SIZE // PATCH))
    target = [
      _histogram(np.float64(images[row, ..., channel]), top + y, left + x, CELL)
      for y in (0, CELL)
      for x in (0, CELL)
      for channel in range(3)
    ]
    token = np.asarray(out['patches'][row, patch])
    found = token @ np.asarray(head['kernel']) + np.asarray(head['bias'])
    total += ((found - np.concatenate(target)) ** 2).mean()
  np.testing.assert_allclose(sums.loss / sums.weight, total / mask.sum(), 1e-4)
  metrics, _ = method.summarize(sums, {})
  assert float(metrics['masked_share']) == pytest.approx(mask.mean())


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'cell': 3}, r'method.cell 3 does not divide the patches of 8 pixels'),
    ({'num_masked': 0}, 'num_masked is 0; it must be positive'),
  ],
)
def test_what_does_not_fit_is_a_user_error(changes, message):
  with pytest.raises(errors.UserError, match=message):
    _method(**changes)


def test_more_hidden_patches_than_there_are_is_a_user_error():
  method = _method(num_masked=17)
  with pytest.raises(errors.UserError, match='have 16 patches'):
    method.init(jax.random.key(0), {'views': (jnp.asarray(_images()),)})
