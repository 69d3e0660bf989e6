"""Does the whole pipeline learn as well as PyTorch's? kNN over three seeds.

SimCLR on a fixed part of CIFAR-10 (JPEG, halved to 16 pixels), trained twice
from the same weights: by jaxssl (index-driven batches, augmentation under
`jit`, `train_step`), and by a PyTorch loop with torchvision's transforms,
timm's ResNet-18, lightly's head and NT-Xent and `torch.optim.SGD`. Both sides
have the same encoder, the same distribution of views, optimizer, schedule,
batch and number of steps; they draw batches and views independently.
`evals.knn` judges both sets of features.

  python -m benchmarks.quality --data_dir DIR --out rows.jsonl

DIR is a folder of prepared TFDS data sets with `cifar10_jpeg`.

Two means of n seeds with the pooled standard deviation s are called equal
within noise if they differ by no more than t s sqrt(2 / n), t being the 97.5 %
quantile of Student's distribution with 2n - 2 degrees of freedom.
"""

import argparse
from collections.abc import Callable, Iterator
import dataclasses
import functools
import math
import os
import pathlib
import statistics
import time
from typing import Any

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
os.environ.setdefault('CUDA_VISIBLE_DEVICES', '')

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats

from benchmarks import rows
from jaxssl import data, models
from jaxssl.augment import color, geometry, jitter
from jaxssl.augment.crop_spec import CropSpec
from jaxssl.augment.view import Augment, View
from jaxssl.evals.features import Features, encode_fn
from jaxssl.evals.knn import knn_eval
from jaxssl.methods.simclr import SimCLR
from jaxssl.ops import schedules
from jaxssl.parallel import modes
from jaxssl.train import optim
from jaxssl.train.state import TrainState, init_state
from jaxssl.train.step import train_step

PyTree = Any
Images = dict[str, tuple[np.ndarray, np.ndarray]]

NAME = 'cifar10_jpeg'
SPLITS = {'train': 'train[:10%]', 'test': 'test[:20%]'}
# Halved, so that both sides of a seed train in minutes on two cores.
SIZE = 16
CHUNK = 500


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
  """What both sides share.

  Attributes:
    steps: optimizer steps.
    batch: images a step; the network sees two views of each.
    width: of the ResNet-18, a multiple of every channel count.
    learning_rate: at the start of the cosine.
    weight_decay: on all parameters.
    temperature: of NT-Xent.
    strength: of the colour jitter.
  """

  steps: int
  batch: int
  width: float
  learning_rate: float = 0.06
  weight_decay: float = 5e-4
  temperature: float = 0.5
  strength: float = 0.5


def load(data_dir: str) -> Images:
  """Decodes the images once, for both sides: split -> (images, labels)."""
  images = {}
  for split, part in SPLITS.items():
    source = data.Tfds(NAME, data_dir=data_dir, split=part)
    batches = list(data.eval_batches(source, batch_size=CHUNK, image_size=SIZE))
    mask = np.concatenate([batch['mask'] for batch in batches])
    images[split] = tuple(
      np.concatenate([batch[key] for batch in batches])[mask]
      for key in ('image', 'label')
    )
  return images


def make_augment(settings: Settings) -> Augment:
  """Returns SimCLR's CIFAR recipe with torchvision's arithmetic."""
  wide = 0.8 * settings.strength
  view = View(
    crop=CropSpec(size=SIZE),
    ops=(
      geometry.random_flip_left_right,
      functools.partial(
        jitter.random_color_jitter,
        brightness=wide,
        contrast=wide,
        saturation=wide,
        hue=0.2 * settings.strength,
        prob=0.8,
      ),
      color.random_gray,
    ),
  )
  return Augment(views=(view, view))


def make_parts(settings: Settings) -> dict[str, Any]:
  """Returns method, augmentation and optimizer."""
  encoder = models.make_encoder('resnet18', stem='cifar', width=settings.width)
  return {
    'method': SimCLR(
      encoder=encoder,
      head=models.SimCLRHead(num_layers=2),
      temperature=settings.temperature,
    ),
    'augment': make_augment(settings),
    'tx': optim.make_optimizer(
      name='sgd',
      learning_rate=schedules.cosine(
        start=settings.learning_rate, num_steps=settings.steps
      ),
      weight_decay=settings.weight_decay,
    ),
  }


class Ours:
  """The jaxssl side; compiles once for all seeds."""

  def __init__(self, images: Images, settings: Settings):
    self._images = images
    self._settings = settings
    self._parts = make_parts(settings)
    self._source = data.Arrays(*images['train'])
    self._mode = modes.make_mode('jit', num_devices=1)
    self._step = self._mode.compile(
      functools.partial(train_step, **self._parts)
    )

  def start(self, seed: int) -> TrainState:
    """Returns the state of step zero."""
    batch = {'image': jnp.zeros((2, SIZE, SIZE, 3), jnp.uint8)}
    init = functools.partial(init_state, **self._parts)
    return self._mode.init(init, jax.random.key(seed), batch)

  def train(self, state: TrainState, seed: int) -> tuple[TrainState, float]:
    """Trains a state (which is used up); returns it and the last loss."""
    batches = data.train_batches(
      self._source, batch_size=self._settings.batch, seed=seed
    )
    for _ in range(self._settings.steps):
      batch = self._mode.put_batch({'image': next(batches)['image']})
      state, metrics = self._step(state, batch)
    batches.close()
    return state, float(metrics['loss'])

  def knn(self, state: TrainState) -> float:
    """Returns the kNN accuracy of a state's encoder."""
    tower = self._parts['method'].export(state.params, state.method_state)
    return knn(
      encode_fn(
        self._parts['method'].encoder,
        tower['encoder'],
        self._parts['augment'].normalize,
      ),
      self._images,
    )


def knn(encode: Callable[[np.ndarray], Any], images: Images) -> float:
  """Returns the accuracy with 20 neighbours of features `encode(uint8)`."""

  def features(split):
    pictures, labels = images[split]
    chunks = np.split(pictures, range(CHUNK, len(pictures), CHUNK))
    encoded = [np.asarray(encode(chunk)) for chunk in chunks]
    return Features(np.concatenate(encoded), labels)

  return knn_eval(features('train'), features('test'), ks=(20,))['top1']


def run_seed(ours: Ours, images: Images, settings: Settings, seed: int):
  """Trains both sides from the same weights; returns what was measured."""
  from benchmarks import quality_torch

  state = ours.start(seed)
  untrained = ours.knn(state)
  net = quality_torch.network(settings.width, state.params, state.method_state)
  start = time.perf_counter()
  state, our_loss = ours.train(state, seed)
  middle = time.perf_counter()
  their_loss = quality_torch.train(net, images['train'][0], settings, seed)
  end = time.perf_counter()
  return {
    'untrained': untrained,
    'ours': ours.knn(state),
    'theirs': knn(quality_torch.encode_fn(net), images),
    'losses': (our_loss, their_loss),
    'seconds': (middle - start, end - middle),
  }


def tolerance(a: list[float], b: list[float]) -> float:
  """Returns the difference of two means that noise explains (see above)."""
  n = len(a)
  pooled = math.sqrt((statistics.variance(a) + statistics.variance(b)) / 2)
  quantile = scipy.stats.t.ppf(0.975, 2 * n - 2)
  return float(quantile * pooled * math.sqrt(2 / n))


def summary(runs: list[dict[str, Any]], settings: Settings) -> dict[str, Any]:
  """Returns the row of all seeds."""
  ours, theirs, untrained = (
    [100 * run[key] for run in runs] for key in ('ours', 'theirs', 'untrained')
  )
  difference = statistics.mean(ours) - statistics.mean(theirs)
  noise = tolerance(ours, theirs) if len(runs) > 1 else math.nan
  verdict = 'within' if abs(difference) <= noise else 'NOT within'
  return rows.row(
    f'quality/simclr_resnet18_{NAME}_{SIZE}',
    ours=statistics.mean(ours),
    theirs=statistics.mean(theirs),
    unit='% kNN top-1, k = 20',
    peer='PyTorch with torchvision, timm and lightly',
    detail=f'{settings}; seeds: ours {listed(ours)}, theirs '
    f'{listed(theirs)}, untrained {listed(untrained)}; difference '
    f'{difference:+.2f} points, noise {noise:.2f}: {verdict} noise; losses '
    + ', '.join('{:.3f}/{:.3f}'.format(*run['losses']) for run in runs)
    + '; seconds '
    + ', '.join('{:.0f}/{:.0f}'.format(*run['seconds']) for run in runs),
  )


def listed(values: list[float]) -> str:
  return ' '.join(f'{value:.2f}' for value in values)


def all_rows(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
  settings = Settings(steps=args.steps, batch=args.batch, width=args.width)
  images = load(args.data_dir)
  ours = Ours(images, settings)
  runs = []
  for seed in range(args.seeds):
    runs.append(run_seed(ours, images, settings, seed))
    print(f'seed {seed}: {runs[-1]}', flush=True)
  yield summary(runs, settings)


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--data_dir', required=True)
  parser.add_argument('--seeds', type=int, default=3)
  parser.add_argument('--steps', type=int, default=200)
  parser.add_argument('--batch', type=int, default=128)
  parser.add_argument('--width', type=float, default=0.25)
  parser.add_argument('--out', help='file to write the rows to, JSON lines')
  args = parser.parse_args()
  if not (pathlib.Path(args.data_dir) / NAME).is_dir():
    parser.exit(message=f'not run: there is no {NAME} in {args.data_dir}\n')
  rows.report(all_rows(args), args.out)


if __name__ == '__main__':
  main()
