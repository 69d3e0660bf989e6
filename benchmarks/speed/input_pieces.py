"""Where the processor time of the folder source goes, an image.

  python -m benchmarks.speed.input_pieces

The files of `benchmarks/speed/input.py`, one thread. Each piece is a tf.data
graph that does what the one before does and something more; all run in turn,
several rounds, and medians are told. Processor time, so that other programs
disturb little. Then resizing alone of one crop, and what of it holds Python's
lock: copies in and out, between which both libraries release it.
"""

import argparse
from collections.abc import Callable
import functools
import itertools
import pathlib
import statistics
import tempfile
import time
from typing import Any, get_args

import numpy as np

from benchmarks.speed.input import BATCH, write_pictures
from jaxssl import data
from jaxssl.augment.crop_spec import CropSpec, Interpolation, Resizer
from jaxssl.data import crop, decode
from jaxssl.data.optional import require, tensorflow

SPEC = CropSpec(size=224)
_WARM_UP = 48


def pieces(folder: pathlib.Path, images: int) -> dict[str, Callable[[], float]]:
  """Returns what to measure, by name: ms of processor time per image."""
  tf = tensorflow()
  blank = np.zeros((SPEC.size, SPEC.size, 3), np.uint8)

  def size(content, number):
    del number
    return decode.jpeg_size(content, max_pixels=decode.MAX_PIXELS)

  def box(content, number):
    key = tf.stack([number, number + 1])
    return crop.random_box(SPEC, size(content, number), key)

  def window(content, number):
    return decode.jpeg(content, box(content, number))

  def called(function):
    return lambda content, number: tf.numpy_function(
      function, [window(content, number)], tf.uint8, stateful=False
    )

  def resize(pixels, resizer='pillow'):
    return crop.resize(
      pixels,
      SPEC.size,
      interpolation=SPEC.interpolation,
      resizer=resizer,
    )

  graphs = {
    'read and decode the whole picture': lambda c, _: decode.jpeg(c),
    'read': lambda c, _: tf.strings.length(c),
    'size from the header': size,
    'draw of the box': box,
    'decode the window': window,
    'a call into Python': called(lambda _: blank),
    'resize by Pillow': called(resize),
    'resize by cykooz-resizer': called(lambda p: resize(p, 'cykooz')),
  }
  measured = {
    name: lambda graph=graph: _of_graph(folder, graph, images)
    for name, graph in graphs.items()
  }
  return measured | {'train_batches': lambda: _of_batches(folder, images)}


def resizing(images: int) -> dict[str, Callable[[], float]]:
  """Returns what to measure of resizing a crop of 318 x 318 pixels alone."""
  image = require('PIL.Image', extra='data')
  fast = require('cykooz_resizer', extra='resize')
  part = np.random.default_rng(0).integers(0, 256, (375, 500, 3), np.uint8)
  part, small = part[9:327, 9:327], part[: SPEC.size, : SPEC.size]
  shown, rgb = image.fromarray(small), fast.PixelType.U8x3
  made = fast.ImageData(*small.shape[:2], rgb, small.tobytes())
  calls = {}
  for name in get_args(Interpolation):
    for resizer in get_args(Resizer):
      calls[f'{resizer}, {name}'] = functools.partial(
        crop.resize, part, SPEC.size, interpolation=name, resizer=resizer
      )
  calls |= {
    'pillow, under the lock': lambda: (
      image.fromarray(part),
      np.asarray(shown),
    ),
    'cykooz, under the lock': lambda: (
      fast.ImageData(*part.shape[:2], rgb, part.tobytes()),
      made.get_buffer(),
    ),
  }
  return {
    name: lambda call=call: _milliseconds(
      (call() for _ in itertools.count()), images, warm_up=9
    )
    for name, call in calls.items()
  }


def _of_graph(folder: pathlib.Path, graph: Any, images: int) -> float:
  tf = tensorflow()
  paths = [str(path) for path in sorted(folder.glob('*.jpg'))]
  options = tf.data.Options()
  options.autotune.enabled = False
  options.threading.private_threadpool_size = 1
  options.threading.max_intra_op_parallelism = 1
  files = tf.data.Dataset.from_tensor_slices(paths).repeat()
  rows = tf.data.Dataset.zip((files, tf.data.Dataset.counter())).map(
    tf.autograph.experimental.do_not_convert(
      lambda path, number: graph(tf.io.read_file(path), number)
    ),
    num_parallel_calls=1,
  )
  stream = rows.with_options(options).as_numpy_iterator()
  return _milliseconds(stream, images, warm_up=_WARM_UP)


def _of_batches(folder: pathlib.Path, images: int) -> float:
  stream = data.train_batches(
    data.make_source(str(folder)),
    batch_size=BATCH,
    seed=0,
    crops=(SPEC,),
    num_threads=1,
  )
  per_batch = _milliseconds(stream, images // BATCH, warm_up=4)
  stream.close()
  return per_batch / BATCH


def _milliseconds(stream: Any, count: int, *, warm_up: int) -> float:
  for _ in range(warm_up):
    next(stream)
  start = time.process_time()
  for _ in range(count):
    next(stream)
  return 1000 * (time.process_time() - start) / count


def main():
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--rounds', type=int, default=5)
  parser.add_argument('--images', type=int, default=512)
  args = parser.parse_args()
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    write_pictures(folder)
    measured = pieces(folder, args.images) | resizing(args.images)
    rounds = [
      {name: measure() for name, measure in measured.items()}
      for _ in range(args.rounds)
    ]
  for name in measured:
    values = [each[name] for each in rounds]
    shown = ' '.join(f'{value:.2f}' for value in values)
    print(f'{name:34} {statistics.median(values):.2f} ms  ({shown})')


if __name__ == '__main__':
  main()
