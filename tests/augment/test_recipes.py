import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.augment import recipes
from tests.augment.images import batch

NAMES_OF_OPS = {
  'simclr': ['flip', 'jitter', 'gray', 'blur'],
  'simclr_cifar': ['flip', 'jitter', 'gray'],
  'byol': ['flip', 'jitter', 'gray', 'blur'],
  'moco_v1': ['gray', 'jitter', 'flip'],
  'moco_v2': ['jitter', 'gray', 'blur', 'flip'],
  'dino': ['flip', 'jitter', 'gray', 'blur'],
  'dinov3': ['jitter', 'gray', 'blur'],
  'swav': ['flip', 'jitter', 'gray', 'blur'],
  'msn': ['flip', 'jitter', 'gray', 'blur'],
  'lejepa': ['flip', 'jitter', 'gray', 'blur', 'solarize'],
  'patches': ['gray'],
  'colorization': ['flip'],
  'mae': ['flip'],
  'distillation': ['flip'],
  'ijepa': [],
  'beit': ['jitter', 'flip'],
  'dvae': ['flip'],
  'crop_flip': ['flip'],
  'clip': [],
  'siglip': [],
  'siglip2': [],
  'none': [],
}
SHORT = {
  'random_flip_left_right': 'flip',
  'random_color_jitter': 'jitter',
  'random_gray': 'gray',
  'random_gaussian_blur': 'blur',
  'random_solarize': 'solarize',
}


def _names(view):
  return [SHORT[getattr(op, 'func', op).__name__] for op in view.ops]


def _keywords(view, name):
  op = view.ops[_names(view).index(name)]
  return getattr(op, 'keywords', {})


@pytest.mark.parametrize('name', recipes.RECIPES)
def test_first_view_has_the_operations_in_the_order_of_the_authors(name):
  view = recipes.RECIPES[name](size=224).views[0]
  assert _names(view) == NAMES_OF_OPS[name]
  assert (view.size or view.crop.size) == 224


def test_numbers_of_simclr():
  view = recipes.simclr().views[0]
  assert view.crop.rule == 'tf'
  assert view.crop.interpolation == 'bicubic'
  assert view.crop.scale == (0.08, 1.0)
  assert _keywords(view, 'blur') == {'radius': 11, 'prob': 0.5}
  assert _keywords(view, 'jitter') == {
    'brightness': 0.8,
    'contrast': 0.8,
    'saturation': 0.8,
    'hue': 0.2,
    'prob': 0.8,
    'kind': 'tf',
  }
  assert _keywords(recipes.simclr_cifar().views[0], 'jitter')['hue'] == 0.1


def test_numbers_of_byol():
  first, second = recipes.byol().views
  assert _names(second) == ['flip', 'jitter', 'gray', 'blur', 'solarize']
  assert _keywords(first, 'blur') == {'radius': 11, 'prob': 1.0}
  assert _keywords(second, 'blur') == {'radius': 11, 'prob': 0.1}
  assert _keywords(first, 'jitter')['kind'] == 'tf_additive'
  assert _keywords(first, 'jitter')['saturation'] == 0.2


def test_numbers_of_dino():
  augment = recipes.dino(num_local=3)
  first, second, *local = augment.views
  assert [crop.size for crop in augment.crops] == [224, 224, 96, 96, 96]
  assert second.crop.scale == (0.4, 1.0)
  assert local[0].crop.scale == (0.05, 0.4)
  assert _names(second) == ['flip', 'jitter', 'gray', 'blur', 'solarize']
  assert [_keywords(v, 'blur')['prob'] for v in (first, second, local[0])] == [
    1.0,
    0.1,
    0.5,
  ]
  assert _keywords(local[0], 'jitter')['hue'] == 0.1
  assert 'blur' not in _names(recipes.dino(use_blur=False).views[0])


def test_numbers_of_dinov3():
  augment = recipes.dinov3(num_local=1)
  first, second, local = augment.views
  assert [crop.size for crop in augment.crops] == [512, 512, 112]
  assert (first.size, second.size, local.size) == (256, 256, None)
  assert (first.crop.scale, local.crop.scale) == ((0.32, 1.0), (0.05, 0.32))
  assert augment.keep_crops == 2
  assert _names(second) == ['jitter', 'gray', 'blur', 'solarize']
  larger = recipes.dinov3(size=512, gram_size=768).views[0]
  assert (larger.crop.size, larger.size) == (768, 512)


@pytest.mark.parametrize(
  ('name', 'sides', 'scales', 'jitter'),
  [
    ('swav', (224, 96), ((0.14, 1.0), (0.05, 0.14)), (0.8, 0.8, 0.8, 0.2)),
    ('lejepa', (224, 98), ((0.3, 1.0), (0.05, 0.3)), (0.4, 0.4, 0.2, 0.1)),
  ],
)
def test_numbers_of_crops_that_are_alike(name, sides, scales, jitter):
  augment = recipes.RECIPES[name]()
  large, small = augment.views[:2], augment.views[2:]
  assert len(small) == 6
  for views, side, scale in zip((large, small), sides, scales, strict=True):
    for view in views:
      assert (view.crop.size, view.crop.scale) == (side, scale)
      assert view.crop.interpolation == 'bilinear'
      assert view.ops == large[0].ops
  keywords = _keywords(large[0], 'jitter')
  names = ('brightness', 'contrast', 'saturation', 'hue')
  assert tuple(keywords[each] for each in names) == jitter
  assert _keywords(large[0], 'blur')['prob'] == 0.5
  small_images = recipes.RECIPES[name](use_blur=False).views
  assert 'blur' not in _names(small_images[0])


def test_numbers_of_moco():
  assert recipes.moco_v2().crops[0].scale == (0.2, 1.0)
  assert _keywords(recipes.moco_v2().views[0], 'jitter')['hue'] == 0.1
  assert _keywords(recipes.moco_v1().views[0], 'jitter')['hue'] == 0.4


def test_numbers_of_masked_prediction():
  (view,) = recipes.mae().views
  assert (view.crop.scale, view.crop.interpolation) == ((0.2, 1.0), 'bicubic')
  (view,) = recipes.ijepa().views
  assert (view.crop.scale, view.crop.interpolation) == ((0.3, 1.0), 'bilinear')
  (view,) = recipes.beit().views
  assert (view.crop.scale, view.crop.interpolation) == ((0.08, 1.0), 'bicubic')
  assert _keywords(view, 'jitter') == {
    'brightness': 0.4,
    'contrast': 0.4,
    'saturation': 0.4,
    'hue': 0.0,
  }
  assert recipes.beit().keep_pixels
  (view,) = recipes.dvae().views
  assert (view.crop.size, view.crop.ratio) == (256, (1.0, 1.0))


def test_none_of_a_square_image_only_resizes():
  augment = recipes.none(size=12, num_views=2)
  images = jnp.asarray(batch(12, rows=2))
  views = augment(jax.random.key(0), {'image': images})['views']
  for view in views:
    np.testing.assert_allclose(view, images / 255, atol=1e-6)


def test_views_stay_in_range():
  augment = recipes.simclr(size=20)
  augment = dataclasses.replace(augment, views=augment.views[:1])
  images = jnp.asarray(batch(20, rows=4))
  (view,) = jax.jit(augment)(jax.random.key(0), {'image': images})['views']
  assert 0 <= float(view.min()) < float(view.max()) <= 1


def test_numbers_of_siglip2():
  augment = recipes.siglip2(num_local=3)
  plain, large, *small = augment.views
  assert plain == recipes.siglip(size=256).views[0]
  assert augment.mean == recipes.siglip().mean
  assert (large.crop.size, large.crop.scale) == (256, (0.4, 1.0))
  assert len(small) == 3
  for view in small:
    assert (view.crop.size, view.crop.scale) == (96, (0.05, 0.4))
    assert _names(view) == _names(large) == ['flip', 'jitter', 'gray', 'blur']
    assert _keywords(view, 'blur') == _keywords(large, 'blur')
  assert _keywords(large, 'blur')['prob'] == 0.5
  (_, without, *_) = recipes.siglip2(use_blur=False).views
  assert _names(without) == ['flip', 'jitter', 'gray']
