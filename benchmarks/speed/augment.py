"""Views per second of the SimCLR recipes: jaxssl, tf.data, torchvision.

Each peer makes the same two views per image from decoded pixels, on all cores
that it is allowed: crop, flip, colour jitter in random order, gray and, at 224
pixels, blur. The runs alternate; medians are reported. One JSON object per row.

  python -m benchmarks.speed.augment --out rows.jsonl
"""

import argparse
from collections.abc import Callable
import functools
import multiprocessing
import os
import statistics
import time

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
os.environ.setdefault('CUDA_VISIBLE_DEVICES', '')

import numpy as np

from benchmarks.report import rows

# Name: height and width of the decoded images, side of the views, strength of
# the jitter, probability of the blur, images per batch.
WORKLOADS = {
  'simclr_cifar_32': ((32, 32), 32, 0.5, 0.0, 256),
  'simclr_224': ((375, 500), 224, 1.0, 0.5, 16),
}


def jaxssl_maker(images: np.ndarray, size, strength, blur) -> Callable:
  import jax

  from jaxssl.augment import recipes

  augment = recipes.simclr(size=size, strength=strength, blur_prob=blur)
  views = jax.jit(lambda key, batch: augment(key, batch)['views'])
  key = jax.random.key(0)

  def make(step: int) -> int:
    batch = {'image': jax.device_put(images)}
    jax.block_until_ready(views(jax.random.fold_in(key, step), batch))
    return 2 * len(images)

  return make


def tf_maker(images: np.ndarray, size, strength, blur) -> Callable:
  import tensorflow as tf

  def view(image):
    return tf_view(image, size, strength, blur)

  batches = iter(
    tf.data.Dataset.from_tensor_slices(images)
    .repeat()
    .map(lambda x: (view(x), view(x)), num_parallel_calls=tf.data.AUTOTUNE)
    .batch(len(images))
    # No prefetch: a run must not use what the pause before it prepared.
  )

  def make(step: int) -> int:
    del step
    next(batches)
    return 2 * len(images)

  return make


def tf_view(image, size: int, strength: float, blur: float):
  """SimCLR's view in TensorFlow operations, with branches where it can."""
  import tensorflow as tf

  begin, shape, _ = tf.image.sample_distorted_bounding_box(
    tf.shape(image),
    tf.constant([[[0.0, 0.0, 1.0, 1.0]]]),
    min_object_covered=0.1,
    aspect_ratio_range=(3 / 4, 4 / 3),
    area_range=(0.08, 1.0),
    max_attempts=100,
  )
  image = tf.cast(tf.slice(image, begin, shape), tf.float32) / 255.0
  image = tf.image.resize(image, (size, size), method='bicubic')
  image = tf.image.random_flip_left_right(image)
  chance = tf.random.uniform([3])
  image = tf.cond(
    chance[0] < 0.8, lambda: tf_jitter(image, strength), lambda: image
  )
  gray = lambda: tf.tile(tf.image.rgb_to_grayscale(image), [1, 1, 3])  # noqa: E731
  image = tf.cond(chance[1] < 0.2, gray, lambda: image)
  if blur > 0:
    blurred = functools.partial(tf_blur, image, size // 20)
    image = tf.cond(chance[2] < blur, blurred, lambda: image)
  return tf.clip_by_value(tf.reshape(image, (size, size, 3)), 0.0, 1.0)


def tf_jitter(image, strength: float):
  import tensorflow as tf

  wide, hue = 0.8 * strength, 0.2 * strength
  factor = tf.random.uniform([], max(0.0, 1 - wide), 1 + wide)
  operations = [
    lambda x: x * factor,
    lambda x: tf.image.random_contrast(x, max(0.0, 1 - wide), 1 + wide),
    lambda x: tf.image.random_saturation(x, max(0.0, 1 - wide), 1 + wide),
    lambda x: tf.image.random_hue(x, hue),
  ]
  order = tf.random.shuffle(tf.range(4))
  for position in range(4):
    branches = [functools.partial(op, image) for op in operations]
    image = tf.switch_case(order[position], branches)
    image = tf.clip_by_value(image, 0.0, 1.0)
  return image


def tf_blur(image, radius: int):
  import tensorflow as tf

  sigma = tf.random.uniform([], 0.1, 2.0)
  x = tf.range(-radius, radius + 1, dtype=tf.float32)
  taps = tf.nn.softmax(-tf.square(x / sigma) / 2)
  image = image[None]
  for shape in ((1, -1, 1, 1), (-1, 1, 1, 1)):
    kernel = tf.tile(tf.reshape(taps, shape), (1, 1, 3, 1))
    image = tf.nn.depthwise_conv2d(image, kernel, [1, 1, 1, 1], 'SAME')
  return image[0]


@functools.cache
def _torchvision():
  """Imports torchvision whose compiled operators may be absent."""
  import torch

  torch.set_num_threads(1)
  library = torch.library.Library('torchvision', 'DEF')
  for name in ('nms', 'qnms'):
    library.define(
      f'{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor'
    )
  from torchvision.transforms import v2

  return torch, v2, library


@functools.cache
def _torch_transform(size: int, strength: float, blur: float):
  torch, v2, _ = _torchvision()
  wide = 0.8 * strength
  kernel = 2 * (size // 20) + 1
  jitter = v2.ColorJitter(wide, wide, wide, 0.2 * strength)
  blurs = [v2.RandomApply([v2.GaussianBlur(kernel, (0.1, 2.0))], blur)]
  return v2.Compose(
    [
      v2.RandomResizedCrop(size, interpolation=v2.InterpolationMode.BICUBIC),
      v2.RandomHorizontalFlip(),
      v2.RandomApply([jitter], 0.8),
      v2.RandomGrayscale(0.2),
      *(blurs if blur > 0 else []),
      v2.ToImage(),
      v2.ToDtype(torch.float32, scale=True),
    ]
  )


def torch_views(images: np.ndarray, size, strength, blur) -> int:
  """Makes two views per image with torchvision on Pillow images."""
  from PIL import Image

  torch = _torchvision()[0]
  transform = _torch_transform(size, strength, blur)
  for _ in range(2):
    torch.stack([transform(Image.fromarray(image)) for image in images])
  return 2 * len(images)


def torch_maker(images: np.ndarray, size, strength, blur) -> Callable:
  return lambda step: torch_views(images, size, strength, blur)


def torch_pool_maker(pool, images: np.ndarray, *settings) -> Callable:
  """Two processes, each with half of the images; only counts come back."""
  halves = np.array_split(images, 2)

  def make(step: int) -> int:
    del step
    return sum(pool.starmap(torch_views, [(h, *settings) for h in halves]))

  return make


def rate(make: Callable, seconds: float) -> float:
  """Returns views per second over at least `seconds`."""
  views, step, start = 0, 0, time.perf_counter()
  while time.perf_counter() - start < seconds:
    views += make(step)
    step += 1
  return views / (time.perf_counter() - start)


def measure(name: str, pool, rounds: int, seconds: float) -> list[dict]:
  shape, size, strength, blur, count = WORKLOADS[name]
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (count, *shape, 3), np.uint8)
  settings = (images, size, strength, blur)
  makers = {
    'jaxssl': jaxssl_maker(*settings),
    'tf.data': tf_maker(*settings),
    'torchvision 1 process': torch_maker(*settings),
    'torchvision 2 processes': torch_pool_maker(pool, *settings),
  }
  for make in makers.values():
    make(0)
  rates = {peer: [] for peer in makers}
  for _ in range(rounds):
    for peer, make in makers.items():
      rates[peer].append(rate(make, seconds))
  medians = {peer: statistics.median(r) for peer, r in rates.items()}
  ours = medians.pop('jaxssl')
  return [
    rows.row(
      f'augment/{name}',
      ours=ours,
      theirs=theirs,
      unit='views/s',
      peer=peer,
      detail=f'{count} images of {shape[0]}x{shape[1]} a batch, '
      f'median of {rounds} alternating runs, ours '
      f'{min(rates["jaxssl"]):.0f}-{max(rates["jaxssl"]):.0f}, theirs '
      f'{min(rates[peer]):.0f}-{max(rates[peer]):.0f}',
    )
    for peer, theirs in medians.items()
  ]


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--out', help='file to write the rows to, JSON lines')
  parser.add_argument('--rounds', type=int, default=5)
  parser.add_argument('--seconds', type=float, default=2.0)
  args = parser.parse_args()
  with multiprocessing.get_context('spawn').Pool(2) as pool:
    measured = (
      row
      for name in WORKLOADS
      for row in measure(name, pool, args.rounds, args.seconds)
    )
    rows.report(measured, args.out)


if __name__ == '__main__':
  main()
