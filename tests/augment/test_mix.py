import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from jaxssl import errors
from jaxssl.augment import mix
from jaxssl.augment.mix import Mix
from jaxssl.methods.supervised import Supervised

ROWS, SIZE = 16, 8


def as_views(key, batch, axis_name=None):
  del key, axis_name
  return {**batch, 'views': (batch['image'],)}


def make_batch(rows=ROWS, size=SIZE):
  """Row r is r everywhere, so a mixed pixel says what it is made of."""
  image = np.broadcast_to(
    np.arange(rows, dtype=np.float32)[:, None, None, None],
    (rows, size, size, 3),
  )
  return {'image': image, 'label': np.arange(rows, dtype=np.int32) % 5}


@functools.lru_cache
def mixing(mixup, cutmix):
  return jax.jit(Mix(augment=as_views, mixup=mixup, cutmix=cutmix))


def mixed(batch=None, *, mixup=0.8, cutmix=1.0):
  out = mixing(mixup, cutmix)(jax.random.key(0), batch or make_batch())
  return jax.tree.map(np.array, out)


def test_rows_mix_with_their_mirror_image_and_remember_its_label():
  out = mixed(mixup=0.8, cutmix=0.0)
  own = np.arange(ROWS, dtype=np.float32)
  expected = out['label_share'] * own + (1 - out['label_share']) * own[::-1]
  np.testing.assert_allclose(
    out['views'][0],
    np.broadcast_to(expected[:, None, None, None], (ROWS, SIZE, SIZE, 3)),
    rtol=1e-5,
  )
  np.testing.assert_array_equal(out['other_label'], out['label'][::-1])


def test_share_of_cutmix_is_that_of_the_pixels_that_are_left():
  out = mixed(mixup=0.0, cutmix=1.0)
  own = np.arange(ROWS)[:, None, None, None]
  images = out['views'][0]
  assert np.isin(images - own, [0]).any()
  left = (images == own).mean(axis=(1, 2, 3))
  np.testing.assert_allclose(left, out['label_share'], atol=1e-6)


def test_rows_draw_for_themselves():
  shares = mixed(mixup=0.8, cutmix=1.0)['label_share']
  assert len(np.unique(shares)) > ROWS // 2


def test_unknown_label_of_either_row_is_unknown():
  batch = make_batch()
  batch['label'][0] = -1
  label = mixed(batch)['label']
  assert label[0] == -1
  assert label[-1] == -1
  assert (label[1:-1] >= 0).all()


def test_pmap_equals_the_global_view():
  def parts(x):
    return x.reshape(8, ROWS // 8, *x.shape[1:])

  mapped = jax.pmap(
    functools.partial(Mix(augment=as_views), axis_name='data'),
    axis_name='data',
    in_axes=(None, 0),
  )(jax.random.key(0), jax.tree.map(parts, make_batch()))
  chex.assert_trees_all_close(
    jax.device_get(mapped), jax.tree.map(parts, mixed()), atol=1e-5
  )


@pytest.mark.parametrize('alphas', [(-0.1, 1.0), (0.0, 0.0)])
def test_numbers_out_of_range_are_user_errors(alphas):
  with pytest.raises(errors.UserError, match='mixup and cutmix'):
    Mix(augment=as_views, mixup=alphas[0], cutmix=alphas[1])


def _timm_mixup(**options):
  from timm.data import mixup

  return mixup.Mixup(mode='elem', num_classes=5, **options)


@pytest.mark.reference
def test_rectangle_equals_timms(monkeypatch):
  from timm.data import mixup

  random = np.random.default_rng(0)
  shares = random.uniform(size=50).astype(np.float32)
  centres = [
    (int(y), int(x))
    for y, x in zip(
      random.integers(0, 17, 50), random.integers(0, 11, 50), strict=True
    )
  ]
  rectangle = jax.jit(mix.cut_rectangle, static_argnames='size')
  for share, centre in zip(shares, centres, strict=True):
    drawn = iter(centre)
    monkeypatch.setattr(
      np.random, 'randint', lambda *a, drawn=drawn, **k: next(drawn)
    )
    expected = mixup.rand_bbox((3, 17, 11), share)
    ours = rectangle(share, jnp.array(centre), size=(17, 11))
    np.testing.assert_array_equal(np.array(ours), np.array(expected))


@pytest.mark.reference
@pytest.mark.parametrize('alphas', [(0.8, 1.0), (0.8, 0.0), (0.0, 1.0)])
def test_shares_are_distributed_as_timms(alphas):
  import torch

  options = {'mixup_alpha': alphas[0], 'cutmix_alpha': alphas[1]}
  np.random.seed(0)
  rows = 2000
  images = torch.from_numpy(make_batch(rows)['image'].copy()).permute(
    0, 3, 1, 2
  )
  # Row r has label 0 and its mirror image 1, so the target shows the share.
  label = (torch.arange(rows) >= rows // 2).long()
  _, targets = _timm_mixup(**options, label_smoothing=0.0)(images, label)
  theirs = targets[torch.arange(rows), label].numpy()
  ours = mixed(make_batch(rows), mixup=alphas[0], cutmix=alphas[1])[
    'label_share'
  ]
  assert scipy.stats.ks_2samp(ours, theirs).pvalue > 1e-3


@pytest.mark.reference
def test_targets_and_loss_equal_timms():
  from timm.data import mixup
  from timm.loss import SoftTargetCrossEntropy
  import torch

  out = mixed()
  label = torch.from_numpy(out['label']).long()
  share = torch.from_numpy(out['label_share'])[:, None]
  theirs = mixup.mixup_target(label, 5, lam=share, smoothing=0.1)
  method = Supervised(encoder=None, num_classes=5, label_smoothing=0.1)
  targets = method.targets(out)
  np.testing.assert_allclose(targets, theirs.numpy(), atol=1e-6)
  logits = np.random.default_rng(0).normal(size=(ROWS, 5)).astype(np.float32)
  expected = SoftTargetCrossEntropy()(torch.from_numpy(logits), theirs)
  ours = -(targets * jax.nn.log_softmax(logits)).sum(-1).mean()
  np.testing.assert_allclose(ours, expected.item(), rtol=1e-6)
