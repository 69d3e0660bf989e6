"""Does the whole pipeline learn as well as PyTorch's? kNN over three seeds.

Each method of `pipeline_recipes` on 4,864 crops of the photographs that ship
with scikit-image, or on 5,000 pictures of CIFAR-10 (JPEG), all of 32 pixels,
trained twice from the same weights: by jaxssl (index-driven batches,
augmentation under `jit`, `train_step`), and by a PyTorch loop with the
transforms of torchvision, timm's encoders, the heads and losses of lightly and
PyTorch's optimizers. Both sides have the same encoder, the same distribution of
views, optimizer, schedule, batch and number of steps; they draw batches and
views independently. `evals.knn` judges both sets of features.

  python -m benchmarks.quality.pipeline --out rows.jsonl
  python -m benchmarks.quality.pipeline --data_dir DIR --methods simclr

DIR is a folder of prepared TFDS data sets with `cifar10_jpeg`.

Two means of n seeds with the pooled standard deviation s are called equal
within noise if they differ by no more than t s sqrt(2 / n), t being the 97.5 %
quantile of Student's distribution with 2n - 2 degrees of freedom.
"""

import argparse
from collections.abc import Callable, Iterator
import math
import os
import pathlib
import statistics
import time
from typing import Any

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
os.environ.setdefault('CUDA_VISIBLE_DEVICES', '')

import numpy as np
import scipy.stats

from benchmarks.quality import pipeline_jaxssl
from benchmarks.quality.pipeline_recipes import RECIPES, SIZE
from benchmarks.report import rows
from jaxssl import data
from jaxssl.augment.preprocessing import usual
from jaxssl.data import source as source_lib
from jaxssl.evals.features import Features
from jaxssl.evals.knn import Knn

Images = dict[str, tuple[np.ndarray, np.ndarray]]

PHOTOS, CIFAR10 = 'photos', 'cifar10_jpeg'
SPLITS = {'train': 'train[:10%]', 'test': 'test[:20%]'}
CHUNK = 500


def make_source(split: str, data_dir: str | None) -> source_lib.Source:
  """Returns crops of photographs, or CIFAR-10 from a folder."""
  if data_dir is None:
    return data.make_source(PHOTOS, split=split, crop=2 * SIZE, size=SIZE)
  return data.Tfds(CIFAR10, data_dir=data_dir, split=SPLITS[split])


def load(data_dir: str | None) -> Images:
  """Decodes the images once, for both sides: split -> (images, labels)."""
  images = {}
  for split in SPLITS:
    source = make_source(split, data_dir)
    batches = list(
      data.eval_batches(source, batch_size=CHUNK, preprocessing=usual(SIZE))
    )
    mask = np.concatenate([batch['mask'] for batch in batches])
    images[split] = tuple(
      np.concatenate([batch[key] for batch in batches])[mask]
      for key in ('image', 'label')
    )
  return images


def knn(encode: Callable[[np.ndarray], Any], images: Images) -> float:
  """Returns the accuracy with 20 neighbours of features `encode(uint8)`."""

  def features(split):
    pictures, labels = images[split]
    chunks = np.split(pictures, range(CHUNK, len(pictures), CHUNK))
    encoded = [np.asarray(encode(chunk)) for chunk in chunks]
    return Features(np.concatenate(encoded), labels)

  return Knn(ks=(20,)).run(features('train'), features('test'))['top1']


def run_seed(ours, name: str, images: Images, seed: int) -> dict[str, Any]:
  """Trains both sides from the same weights; returns what was measured."""
  from benchmarks.quality import pipeline_torch

  state = ours.start(seed)
  untrained = knn(ours.encode_fn(state), images)
  peer = pipeline_torch.make_peer(name, state.params, state.method_state)
  start = time.perf_counter()
  state, our_loss = ours.train(state, seed)
  middle = time.perf_counter()
  their_loss = pipeline_torch.train(
    peer, images['train'][0], RECIPES[name], seed
  )
  end = time.perf_counter()
  return {
    'untrained': untrained,
    'ours': knn(ours.encode_fn(state), images),
    'theirs': knn(pipeline_torch.encode_fn(peer), images),
    'losses': (our_loss, their_loss),
    'seconds': (middle - start, end - middle),
  }


def tolerance(a: list[float], b: list[float]) -> float:
  """Returns the difference of two means that noise explains (see above)."""
  n = len(a)
  pooled = math.sqrt((statistics.variance(a) + statistics.variance(b)) / 2)
  quantile = scipy.stats.t.ppf(0.975, 2 * n - 2)
  return float(quantile * pooled * math.sqrt(2 / n))


def summary(name: str, on: str, runs: list[dict[str, Any]]) -> dict[str, Any]:
  """Returns the row of all seeds."""
  ours, theirs, untrained = (
    [100 * run[key] for run in runs] for key in ('ours', 'theirs', 'untrained')
  )
  difference = statistics.mean(ours) - statistics.mean(theirs)
  noise = tolerance(ours, theirs) if len(runs) > 1 else math.nan
  verdict = 'within' if abs(difference) <= noise else 'NOT within'
  return rows.row(
    f'quality/{name}_{on}_{SIZE}',
    ours=statistics.mean(ours),
    theirs=statistics.mean(theirs),
    unit='% kNN top-1, k = 20',
    peer='PyTorch with torchvision, timm and lightly',
    detail=f'{RECIPES[name]}; seeds: ours {listed(ours)}, theirs '
    f'{listed(theirs)}, untrained {listed(untrained)}; difference '
    f'{difference:+.2f} points, noise {noise:.2f}: {verdict} noise; losses '
    + ', '.join('{:.3f}/{:.3f}'.format(*run['losses']) for run in runs)
    + '; seconds '
    + ', '.join('{:.0f}/{:.0f}'.format(*run['seconds']) for run in runs),
  )


def listed(values: list[float]) -> str:
  return ' '.join(f'{value:.2f}' for value in values)


def all_rows(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
  images = load(args.data_dir)
  for name in args.methods or RECIPES:
    ours = pipeline_jaxssl.Ours(name, images['train'][0])
    runs = []
    for seed in range(args.seeds):
      runs.append(run_seed(ours, name, images, seed))
      print(f'{name}, seed {seed}: {runs[-1]}', flush=True)
    yield summary(name, CIFAR10 if args.data_dir else PHOTOS, runs)


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--data_dir', help='of CIFAR-10; without: photographs')
  parser.add_argument('--seeds', type=int, default=3)
  parser.add_argument('--methods', nargs='+', choices=RECIPES)
  parser.add_argument('--out', help='file to write the rows to, JSON lines')
  args = parser.parse_args()
  folder = args.data_dir
  if folder and not (pathlib.Path(folder) / CIFAR10).is_dir():
    parser.exit(message=f'not run: there is no {CIFAR10} in {folder}\n')
  rows.report(all_rows(args), args.out)


if __name__ == '__main__':
  main()
