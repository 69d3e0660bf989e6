"""Images per second of the folder source against decoding alone.

  python -m benchmarks.speed.input [--out FILE]

The folder holds photograph-like JPEGs of 500 x 375 pixels (quality 90) cut from
the pictures of scikit-image. `ours` is `train_batches` with one random-resized
crop to 224 on the host, as uint8; `theirs` is what no pipeline can beat without
decoding less: tf.data that reads and decodes the same files completely and does
nothing else. The crop lets ours decode only a window, and then resizes it.

Both run with one thread a core, alternating A B A B; rates are medians.
"""

import argparse
import os
import pathlib
import statistics
import tempfile
import time

import numpy as np
from PIL import Image
from skimage import data as pictures

from benchmarks.report import rows
from jaxssl import data
from jaxssl.augment.crop_spec import CropSpec
from jaxssl.data.optional import tensorflow

NAMES = ('astronaut', 'cat', 'coffee', 'rocket', 'hubble_deep_field', 'retina')
PER_PICTURE = 16
BATCH = 64


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


def ours(folder: pathlib.Path, batches: int) -> float:
  source = data.make_source(str(folder))
  stream = data.train_batches(
    source, batch_size=BATCH, seed=0, crops=(CropSpec(size=224),)
  )
  rate = measure(stream, batches)
  stream.close()
  return rate


def decoding_alone(folder: pathlib.Path, batches: int) -> float:
  tf = tensorflow()
  threads = len(os.sched_getaffinity(0))
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


def measure(stream, batches: int) -> float:
  # The first batches fill the buffers and pay for the graph.
  for _ in range(4):
    next(stream)
  start = time.perf_counter()
  for _ in range(batches):
    next(stream)
  return batches * BATCH / (time.perf_counter() - start)


def main():
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--rounds', type=int, default=5)
  parser.add_argument('--batches', type=int, default=30)
  parser.add_argument('--out', help='file to write the row to')
  args = parser.parse_args()
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    size = write_pictures(folder)
    rates = [
      (ours(folder, args.batches), decoding_alone(folder, args.batches))
      for _ in range(args.rounds)
    ]
  mine, theirs = (
    statistics.median(column) for column in zip(*rates, strict=True)
  )
  detail = f'{size:.0f} kB a file, {args.rounds} rounds A B, rates ' + ' '.join(
    f'{a:.0f}/{b:.0f}' for a, b in rates
  )
  row = rows.row(
    'input/folder_500x375_to_224',
    ours=mine,
    theirs=theirs,
    unit='images/s',
    peer='tf.data, read and decode only',
    detail=detail,
  )
  # Machines change speed between rounds; the two sides of a round less so.
  row['ratio'] = round(statistics.median(a / b for a, b in rates), 3)
  rows.report([row], args.out)


if __name__ == '__main__':
  main()
