"""What a picture of the folder source costs, against decoding it alone.

  python -m benchmarks.speed.input [--threads 1 2 4] [--only view] [--out FILE]

The folder holds photograph-like JPEGs of 500 x 375 pixels (quality 90) cut from
the pictures of scikit-image. `train_batches` makes random-resized crops to 224
on the host, as uint8, of several recipes and by either resizer.
The limit is what no pipeline can beat without decoding less: tf.data that reads
and decodes the same files completely and does nothing else. A crop lets ours
decode only a window, and then resizes it.

Where they are installed, other loaders make a bilinear view of the same files:
PyTorch's DataLoader with torchvision, and Grain with Pillow, which decode the
whole picture.

All take turns, A B C ... A B C; told are medians of processor time per
picture, which other programs disturb little, and of images/s by the clock.
"""

import argparse
import functools
import importlib.util
import os
import pathlib
import statistics
import tempfile
import time
from typing import Any, NamedTuple, get_args

import numpy as np
from PIL import Image
from skimage import data as pictures

from benchmarks.report import rows
from jaxssl import data
from jaxssl.augment.crop_spec import CropSpec, Resizer
from jaxssl.augment.recipes import RECIPES
from jaxssl.data.optional import tensorflow

NAMES = ('astronaut', 'cat', 'coffee', 'rocket', 'hubble_deep_field', 'retina')
PER_PICTURE = 16
BATCH = 64


class Cost(NamedTuple):
  """Processor time per image, and images a second by the clock."""

  milliseconds: float
  rate: float


def write_pictures(folder: pathlib.Path) -> float:
  """Writes the JPEGs; returns their mean size in kB."""
  draws = np.random.default_rng(0)
  sizes = []
  for name in NAMES:
    image = Image.fromarray(getattr(pictures, name)())
    for number in range(PER_PICTURE):
      width = int(
        min(image.width, image.height * 4 / 3) * draws.uniform(0.7, 1)
      )
      height = width * 3 // 4
      left = int(draws.integers(0, image.width - width + 1))
      top = int(draws.integers(0, image.height - height + 1))
      path = folder / f'{name}_{number:02}.jpg'
      box = (left, top, left + width, top + height)
      image.resize((500, 375), Image.BICUBIC, box=box).save(path, quality=90)
      sizes.append(path.stat().st_size / 1000)
  return statistics.mean(sizes)


def ours(
  folder: pathlib.Path,
  batches: int,
  threads: int,
  crops: tuple[CropSpec, ...],
  resizer: Resizer,
) -> Cost:
  stream = data.train_batches(
    data.make_source(str(folder)),
    batch_size=BATCH,
    seed=0,
    crops=crops,
    resizer=resizer,
    num_threads=threads,
  )
  cost = measure(stream, batches)
  stream.close()
  return cost


def decoding_alone(folder: pathlib.Path, batches: int, threads: int) -> Cost:
  tf = tensorflow()
  options = tf.data.Options()
  options.autotune.enabled = False
  options.threading.private_threadpool_size = threads
  options.threading.max_intra_op_parallelism = 1
  files = tf.data.Dataset.list_files(str(folder / '*.jpg'), seed=0).repeat()
  decoded = files.map(
    lambda path: tf.io.decode_jpeg(
      tf.io.read_file(path), channels=3, dct_method='INTEGER_ACCURATE'
    ),
    num_parallel_calls=threads,
  )
  stream = decoded.batch(BATCH).prefetch(2).with_options(options)
  return measure(iter(stream), batches)


def measure(stream, batches: int) -> Cost:
  # The first batches fill the buffers and pay for the graph.
  for _ in range(4):
    next(stream)
  start, begin = time.process_time(), time.perf_counter()
  for _ in range(batches):
    next(stream)
  images = batches * BATCH
  return Cost(
    1000 * (time.process_time() - start) / images,
    images / (time.perf_counter() - begin),
  )


def torch_loader(folder: pathlib.Path, batches: int, threads: int) -> Cost:
  """PyTorch's DataLoader in this process, with torchvision's crop."""
  from benchmarks.peers import torch_simclr

  torch_simclr.libraries()
  import torch
  from torchvision import transforms

  crop = transforms.Compose(
    [transforms.RandomResizedCrop(224), transforms.PILToTensor()]
  )

  class Pictures(torch.utils.data.Dataset):
    def __init__(self) -> None:
      self.files = sorted(folder.glob('*.jpg'))

    def __len__(self) -> int:
      # An epoch that is longer than the measurement.
      return len(self.files) * 1000

    def __getitem__(self, index: int) -> Any:
      with Image.open(self.files[index % len(self.files)]) as image:
        return crop(image.convert('RGB'))

  torch.set_num_threads(threads)
  loader = torch.utils.data.DataLoader(Pictures(), BATCH, shuffle=True)
  return measure(iter(loader), batches)


def grain_loader(folder: pathlib.Path, batches: int, threads: int) -> Cost:
  """Grain's threads with Pillow."""
  import grain

  def crop(path: pathlib.Path, draws: np.random.Generator) -> np.ndarray:
    with Image.open(path) as image:
      box = _random_box(image.width, image.height, draws)
      return np.asarray(
        image.convert('RGB').resize((224, 224), Image.BILINEAR, box=box)
      )

  stream = (
    grain.MapDataset.source(sorted(folder.glob('*.jpg')))
    .seed(0)
    .shuffle()
    .repeat()
    .random_map(crop)
    .to_iter_dataset(grain.ReadOptions(num_threads=threads))
    .batch(BATCH)
  )
  return measure(iter(stream), batches)


def _random_box(
  width: int, height: int, draws: np.random.Generator
) -> tuple[int, int, int, int]:
  """Draws a crop as torchvision's RandomResizedCrop does."""
  for _ in range(10):
    area = width * height * draws.uniform(0.08, 1)
    aspect = np.exp(draws.uniform(np.log(3 / 4), np.log(4 / 3)))
    wide, high = round((area * aspect) ** 0.5), round((area / aspect) ** 0.5)
    if wide <= width and high <= height:
      left = int(draws.integers(0, width - wide + 1))
      top = int(draws.integers(0, height - high + 1))
      return left, top, left + wide, top + high
  side = min(width, height)
  return 0, 0, side, side


LIMIT = 'read and decode only'
VIEWS = {
  'one view, bilinear': (CropSpec(size=224),),
  'two views, bicubic': (CropSpec(size=224, interpolation='bicubic'),) * 2,
  'MAE': RECIPES['mae'](size=224).crops,
  'DINO, 2 + 8 crops': RECIPES['dino'](size=224).crops,
}
PEERS = {'torch': torch_loader, 'grain': grain_loader}
MEASURED = {
  LIMIT: decoding_alone,
  **{
    f'{name}, {resizer}': functools.partial(ours, crops=crops, resizer=resizer)
    for name, crops in VIEWS.items()
    for resizer in get_args(Resizer)
  },
  **{
    f'one view, bilinear, {peer}': loader
    for peer, loader in PEERS.items()
    if importlib.util.find_spec(peer)
  },
}


def main():
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--rounds', type=int, default=5)
  parser.add_argument('--batches', type=int, default=30)
  parser.add_argument(
    '--threads', type=int, nargs='+', default=[len(os.sched_getaffinity(0))]
  )
  parser.add_argument('--only', default='', help='a part of the names')
  parser.add_argument('--out', help='file to write the rows to')
  args = parser.parse_args()
  found = []
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    size = write_pictures(folder)
    for threads in args.threads:
      names = [n for n in MEASURED if n == LIMIT or args.only in n]
      costs = {name: [] for name in names}
      for _ in range(args.rounds):
        for name in names:
          cost = MEASURED[name](folder, args.batches, threads)
          costs[name].append(cost)
      found += [_row(name, costs, threads, size) for name in names]
  rows.report(found, args.out)


def _row(
  name: str, costs: dict[str, list[Cost]], threads: int, size: float
) -> dict[str, Any]:
  mine, limit = costs[name], costs[LIMIT]
  row = rows.row(
    f'input/{name}, {threads} threads',
    ours=statistics.median(cost.milliseconds for cost in mine),
    theirs=statistics.median(cost.milliseconds for cost in limit),
    unit='ms of processor time per image',
    peer=f'tf.data, {LIMIT}',
    lower_is_better=True,
    detail=f'{size:.0f} kB a file, {len(mine)} rounds in turn, '
    + ' '.join(f'{cost.milliseconds:.2f}' for cost in mine)
    + f'; {statistics.median(c.rate for c in mine):.0f} images/s by the clock',
  )
  # Machines change speed between rounds; what stands in one round less so.
  row['ratio'] = round(
    statistics.median(
      b.milliseconds / a.milliseconds for a, b in zip(mine, limit, strict=True)
    ),
    3,
  )
  return row


if __name__ == '__main__':
  main()
