import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxssl import errors
from jaxssl.augment import geometry
from jaxssl.augment.crop_spec import CropSpec
from tests.augment.images import picture

INTERPOLATIONS = ('bilinear', 'bicubic')
# Enlarges, keeps and shrinks, off centre and at the edges: top, left, height,
# width, output size.
BOXES = [(0, 0, 40, 33, 48), (3, 7, 30, 20, 16), (10, 2, 5, 31, 9)]
DRAWS = 4000


@pytest.mark.reference
@pytest.mark.parametrize('interpolation', INTERPOLATIONS)
@pytest.mark.parametrize('box', BOXES)
def test_crop_equals_torchvision(box, interpolation):
  import torch
  from torchvision.transforms.v2 import functional

  theirs = functional.resized_crop(
    torch.tensor(picture()).permute(2, 0, 1),
    *box[:4],
    [box[4], box[4]],
    interpolation=functional.InterpolationMode(interpolation),
    antialias=True,
  )
  ours = geometry.crop_and_resize(
    picture(),
    geometry.Box(*box[:4]),
    size=box[4],
    interpolation=interpolation,
  )
  # Sums of float32 products in another order.
  chex.assert_trees_all_close(
    np.asarray(ours), theirs.permute(1, 2, 0).numpy(), atol=2e-6
  )


@pytest.mark.parametrize('interpolation', INTERPOLATIONS)
@pytest.mark.parametrize('antialias', [True, False])
@pytest.mark.parametrize('box', BOXES)
def test_crop_equals_tensorflow(box, interpolation, antialias):
  import tensorflow as tf

  top, left, height, width, size = box
  theirs = tf.image.resize(
    picture()[top : top + height, left : left + width],
    (size, size),
    method=interpolation,
    antialias=antialias,
  )
  ours = geometry.crop_and_resize(
    picture(),
    geometry.Box(top, left, height, width),
    size=size,
    interpolation=interpolation,
    antialias=antialias,
  )
  # TensorFlow reads the bicubic filter from a table of 1024 entries.
  chex.assert_trees_all_close(np.asarray(ours), theirs.numpy(), atol=2e-3)


@pytest.mark.parametrize('box', BOXES)
def test_bilinear_crop_equals_pillow(box):
  from PIL import Image

  top, left, height, width, size = box
  pixels = np.round(picture() * 255).astype(np.uint8)
  crop = Image.fromarray(pixels).crop((left, top, left + width, top + height))
  theirs = np.asarray(crop.resize((size, size), Image.Resampling.BILINEAR))
  ours = geometry.crop_and_resize(
    pixels.astype(np.float32), geometry.Box(*box[:4]), size=size
  )
  # Pillow rounds to 8 bits after each of the two axes.
  chex.assert_trees_all_close(
    np.asarray(ours), theirs.astype(np.float32), atol=1.01
  )


@pytest.mark.parametrize('interpolation', INTERPOLATIONS)
@pytest.mark.parametrize(
  'box', [(0, 0, 150, 200), (100, 3, 50, 150), (7, 180, 41, 20), (9, 9, 1, 1)]
)
def test_crop_of_a_large_picture_equals_pillow(box, interpolation):
  # On a CPU large pictures are resampled by other arithmetic than small ones.
  from PIL import Image

  top, left, height, width = box
  pixels = picture(150, 200)
  channels = [
    Image.fromarray(plane[top : top + height, left : left + width]).resize(
      (40, 40), Image.Resampling[interpolation.upper()]
    )
    for plane in np.moveaxis(pixels, -1, 0)
  ]
  ours = geometry.crop_and_resize(
    pixels, geometry.Box(*box), size=40, interpolation=interpolation
  )
  # Pictures of float32 are not rounded by Pillow.
  chex.assert_trees_all_close(
    np.asarray(ours), np.stack(channels, axis=-1), atol=2e-6
  )


def test_crop_of_traced_boxes_in_a_batch_equals_one_by_one():
  image = jnp.asarray(picture())
  boxes = geometry.Box(*jnp.array([box[:4] for box in BOXES]).T)
  crop = lambda box: geometry.crop_and_resize(image, box, size=12)  # noqa: E731
  batched = jax.jit(jax.vmap(crop))(boxes)
  alone = jnp.stack([crop(geometry.Box(*box[:4])) for box in BOXES])
  chex.assert_trees_all_close(batched, alone, atol=1e-6)


def test_crop_of_bfloat16_is_rounded_float32():
  image = jnp.asarray(picture(), jnp.bfloat16)
  box = geometry.Box(*BOXES[1][:4])
  low = geometry.crop_and_resize(image, box, size=16)
  assert low.dtype == jnp.bfloat16
  exact = geometry.crop_and_resize(image.astype(jnp.float32), box, size=16)
  chex.assert_trees_all_close(low.astype(jnp.float32), exact, atol=2**-8)


def test_crop_of_the_whole_image_to_its_size_is_the_image():
  same = geometry.crop_and_resize(
    picture(), geometry.Box(0, 0, 40, 33), size=(40, 33)
  )
  chex.assert_trees_all_close(np.asarray(same), picture(), atol=1e-6)


def test_unknown_interpolation_is_the_users_error():
  with pytest.raises(errors.UserError, match='bicubic'):
    geometry.crop_and_resize(
      picture(), geometry.Box(0, 0, 4, 4), size=4, interpolation='cubic'
    )


def _boxes(rule, height, width, scale, ratio):
  sample = {
    'torchvision': geometry.sample_box_torchvision,
    'tf': geometry.sample_box_tf,
  }[rule]
  keys = jax.random.split(jax.random.key(1), DRAWS)
  draw = lambda key: sample(key, height, width, scale=scale, ratio=ratio)  # noqa: E731
  boxes = jax.jit(jax.vmap(draw))(keys)
  return np.stack([np.asarray(side) for side in boxes], axis=1)


def _torchvision_boxes(height, width, scale, ratio):
  import torch
  from torchvision.transforms import RandomResizedCrop

  torch.manual_seed(0)
  image = torch.zeros(3, height, width)
  return np.array(
    [RandomResizedCrop.get_params(image, scale, ratio) for _ in range(DRAWS)]
  )


def _tf_boxes(height, width, scale, ratio):
  import tensorflow as tf

  def draw(index):
    begin, size, _ = tf.image.stateless_sample_distorted_bounding_box(
      [height, width, 3],
      tf.constant([[[0.0, 0.0, 1.0, 1.0]]]),
      seed=tf.stack([index, 7]),
      min_object_covered=0.1,
      aspect_ratio_range=ratio,
      area_range=scale,
      max_attempts=100,
    )
    return tf.concat([begin[:2], size[:2]], 0)

  draws = tf.data.Dataset.range(DRAWS).map(draw).batch(DRAWS)
  return next(iter(draws)).numpy()


SAMPLERS = [
  pytest.param('torchvision', marks=pytest.mark.reference),
  'tf',
]


@pytest.mark.parametrize('rule', SAMPLERS)
@pytest.mark.parametrize(
  ('height', 'width', 'scale', 'ratio'),
  [
    (32, 32, (0.08, 1.0), (3 / 4, 4 / 3)),
    (60, 25, (0.2, 1.0), (3 / 4, 4 / 3)),
    # Nothing wide fits often: the fallback is part of the distribution.
    (20, 90, (0.8, 1.0), (0.9, 1.1)),
  ],
)
def test_boxes_are_distributed_as_the_reference(
  rule, height, width, scale, ratio
):
  ours = _boxes(rule, height, width, scale, ratio)
  reference = {'torchvision': _torchvision_boxes, 'tf': _tf_boxes}[rule]
  theirs = reference(height, width, scale, ratio)
  columns = [
    (b[:, 0], b[:, 1], b[:, 2], b[:, 3], b[:, 2] * b[:, 3], b[:, 3] / b[:, 2])
    for b in (ours, theirs)
  ]
  for mine, other in zip(*columns, strict=True):
    # Fixed seeds; 0.1 % over all 36 comparisons.
    assert stats.ks_2samp(mine, other).pvalue > 0.001 / 36


@pytest.mark.parametrize('rule', ['torchvision', 'tf'])
def test_boxes_lie_inside_the_image(rule):
  boxes = _boxes(rule, 37, 23, (0.01, 1.0), (0.2, 5.0))
  top, left, height, width = boxes.T
  assert (top >= 0).all()
  assert (left >= 0).all()
  assert (top + height <= 37).all()
  assert (left + width <= 23).all()
  assert (boxes[:, 2:] > 0).all()


def test_full_scale_is_the_central_square_without_chance():
  spec = CropSpec(size=10, scale=(1.0, 1.0), ratio=(1.0, 1.0))
  crop = geometry.random_resized_crop(
    jax.random.key(0), picture(30, 50), spec=spec
  )
  expected = geometry.crop_and_resize(
    picture(30, 50), geometry.Box(0, 10, 30, 30), size=10
  )
  chex.assert_trees_all_close(crop, expected, atol=1e-6)


def test_flip_mirrors_columns_half_of_the_time():
  image = jnp.asarray(picture(8, 5))
  keys = jax.random.split(jax.random.key(3), DRAWS)
  flipped = jax.vmap(geometry.random_flip_left_right, in_axes=(0, None))(
    keys, image
  )
  mirrored = jnp.all(flipped == image[None, :, ::-1], axis=(1, 2, 3))
  kept = jnp.all(flipped == image[None], axis=(1, 2, 3))
  assert bool(jnp.all(mirrored ^ kept))
  assert abs(float(mirrored.mean()) - 0.5) < 4 * 0.5 / DRAWS**0.5
