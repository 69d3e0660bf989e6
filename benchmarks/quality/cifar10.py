"""SimCLR with a ResNet-18 on CIFAR-10 for some minutes, beside lightly.

`configs/simclr_resnet18_cifar10.py`, as `jaxssl train` trains it, with as many
epochs as fit into `--minutes` by the speed of the first steps, or with
`--epochs`; never more than lightly's 200 unless asked for, and with a schedule
of just that length. Then weighted kNN by lightly's protocol (k = 200, T = 0.1)
on the encoder as it is at the end.

  python -m benchmarks.quality.cifar10 --minutes 60 --workdir NEW --data_dir DIR

DIR is a folder of prepared TFDS data sets. lightly's figures are those of its
page of benchmarks, on an A6000, the best of all epochs.
"""

import argparse
from collections.abc import Iterator
import json
import os
import pathlib
import statistics
import time
from typing import Any

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')

import jax

from benchmarks.report import rows
from jaxssl import build, data, errors
from jaxssl import config as config_lib
from jaxssl.commands.train import train_in_workdir
from jaxssl.config import schema
from jaxssl.evals import features, protocols
from jaxssl.train.workdir import Workdir
from jaxssl.weights.exported import ExportedEncoder, load_encoder

CONFIG = (
  pathlib.Path(__file__).parents[2] / 'configs/simclr_resnet18_cifar10.py'
)
# Batch size -> top-1, minutes; 200 epochs. docs/source/getting_started/
# benchmarks.rst of lightly.
LIGHTLY = {128: (0.847, 97.7), 512: (0.848, 87.1)}
EPOCHS = 200
KNN = {'ks': (200,), 'temperature': 0.1}
# Of the time for training, what compiling and saving may take.
SPARE = 0.05


def config_of(
  args: argparse.Namespace, train: dict[str, Any], warm_up: float
) -> config_lib.Config:
  """Returns the config of a run.

  Args:
    args: of the command line.
    train: length of the run.
    warm_up: epochs in which the learning rate rises.
  """
  config = config_lib.load_file(CONFIG)
  schedule = config['optim']['learning_rate'] | {'warmup_epochs': warm_up}
  config['optim'] |= {'learning_rate': schedule}
  config['encoder'] |= {'dtype': args.dtype, 'width': args.width}
  config['data'] = {'name': args.data_name, 'split': 'train'}
  if args.data_dir:
    config['data'] |= {'data_dir': args.data_dir}
  config['train'] |= {
    'batch_size': args.batch_size,
    'checkpoint_steps': 10**9,
    'log_steps': args.log_steps,
    'tensorboard': False,
    **train,
  }
  config['eval'] |= {'steps': 0, 'split': 'test'}
  return schema.complete(config)


def trained(workdir: Workdir, config: config_lib.Config) -> float:
  """Trains a run in a new folder; returns how many minutes that took."""
  start = time.perf_counter()
  workdir.claim(config)
  try:
    train_in_workdir(build.build(config), workdir)
  finally:
    workdir.release()
  return (time.perf_counter() - start) / 60


def images_per_second(workdir: Workdir) -> float:
  """Returns the median speed of the second half of what was logged."""
  text = workdir.metrics_path.read_text()
  lines = [json.loads(line) for line in text.splitlines()]
  speeds = [
    line['images_per_second'] for line in lines if 'images_per_second' in line
  ]
  return statistics.median(speeds[len(speeds) // 2 :])


def epochs_for(minutes: float, speed: float, num_examples: int) -> int:
  """Returns how many epochs fit, at least one and at most lightly's."""
  seconds = 60 * minutes * (1 - SPARE)
  return min(max(int(seconds * speed / num_examples), 1), EPOCHS)


def epochs_of(args: argparse.Namespace, num_examples: int) -> int:
  """Returns the epochs asked for, or measures what fits into the minutes."""
  if args.epochs:
    return args.epochs
  workdir = Workdir(args.workdir / 'speed')
  steps = {'steps': args.speed_steps}
  spent = trained(workdir, config_of(args, steps, 0.0))
  speed = images_per_second(workdir)
  return epochs_for(args.minutes - spent, speed, num_examples)


def knn(exported: ExportedEncoder, args: argparse.Namespace) -> float:
  """Returns the top-1 accuracy of lightly's kNN, a fraction."""
  encode = features.encode_fn(
    exported.encoder, exported.variables, exported.normalize
  )
  found = []
  for split in ('train', 'test'):
    batches = data.eval_batches(
      source_of(args, split),
      batch_size=500,
      preprocessing=exported.preprocessing,
    )
    found.append(features.extract(encode, batches))
  return protocols.make_protocol('knn', **KNN).run(*found)['top1']


def source_of(args: argparse.Namespace, split: str) -> Any:
  """Returns a split of the data."""
  folder = {'data_dir': args.data_dir} if args.data_dir else {}
  return data.make_source(args.data_name, split=split, **folder)


def measured_rows(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
  """Trains, evaluates, and yields accuracy and time beside lightly's."""
  num_examples = source_of(args, 'train').num_examples
  epochs = epochs_of(args, num_examples)
  config = config_of(args, {'epochs': epochs}, min(10, epochs / 10))
  workdir = Workdir(args.workdir / 'run')
  minutes = trained(workdir, config)
  top1 = knn(load_encoder(workdir.export), args)
  is_cifar = args.data_name.startswith('cifar10')
  theirs = LIGHTLY.get(args.batch_size) if is_cifar else None
  accuracy, their_minutes = theirs or (None, None)
  device = jax.devices()[0].device_kind
  detail = (
    f'{args.data_name}, {epochs} epochs of {num_examples} images, batch '
    f'{args.batch_size}, {args.dtype}, {minutes:.1f} min on {device}, '
    f'{images_per_second(workdir):.0f} images/s while training; {published()}'
  )
  yield rows.row(
    'cifar10/simclr_resnet18/knn',
    ours=top1,
    theirs=accuracy,
    unit='top-1, k = 200, T = 0.1',
    peer=f'lightly, {EPOCHS} epochs, best epoch',
    detail=detail,
  )
  yield rows.row(
    'cifar10/simclr_resnet18/time',
    ours=60 * minutes / epochs,
    theirs=their_minutes and 60 * their_minutes / EPOCHS,
    unit='s an epoch',
    peer='lightly on an A6000',
    detail='all that training takes, compilation included',
    lower_is_better=True,
  )


def published() -> str:
  """Returns lightly's figures in words."""
  return 'lightly: ' + ', '.join(
    f'{top1} in {minutes} min with batch {batch}'
    for batch, (top1, minutes) in LIGHTLY.items()
  )


def all_rows(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
  """Yields what was measured, or why it was not."""
  empty = rows.row(
    'cifar10/simclr_resnet18/knn',
    ours=None,
    theirs=LIGHTLY[512][0],
    unit='top-1, k = 200, T = 0.1',
    peer=f'lightly, {EPOCHS} epochs, best epoch',
    detail=published(),
  )
  try:
    yield from measured_rows(args)
  # Of JAX: no memory, or a loss that is not finite any more.
  except (errors.UserError, RuntimeError, OSError) as error:
    yield rows.failed(empty, (str(error) or repr(error)).splitlines()[0][:300])


def main() -> int:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  length = parser.add_mutually_exclusive_group(required=True)
  length.add_argument('--minutes', type=float, help='of training')
  length.add_argument('--epochs', type=int)
  parser.add_argument('--data_name', default='cifar10')
  parser.add_argument('--data_dir', help='default: that of TFDS')
  parser.add_argument('--workdir', type=pathlib.Path, required=True)
  parser.add_argument('--batch_size', type=int, default=512)
  parser.add_argument('--dtype', default='bfloat16')
  parser.add_argument('--width', type=float, default=1.0, help='of the encoder')
  parser.add_argument('--log_steps', type=int, default=20)
  parser.add_argument(
    '--speed_steps', type=int, default=300, help='to measure the speed'
  )
  parser.add_argument('--out', help='file to write the rows to, JSON lines')
  args = parser.parse_args()
  return rows.report(all_rows(args), args.out)


if __name__ == '__main__':
  raise SystemExit(main())
