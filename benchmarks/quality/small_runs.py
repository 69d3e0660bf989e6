"""Every image method on the same small part of CIFAR-10, with one budget.

The small configs of the package (`configs/*_photos.py`) on 5,000 images of
`cifar10_jpeg`, with a cheaper stem, all for the same number of steps of the
same batch, as `jaxssl train` trains them; then the protocols `knn-v1` and
`linear_sgd-v1`, tested on 2,000 images. Beside them raw pixels, supervised
training, and each encoder as it was before training (`theirs`).

  python -m benchmarks.quality.small_runs --data_dir DIR --workdir runs/small \
      --rates 0.3 1 3 --out rows.jsonl
  python -m benchmarks.quality.small_runs --data_dir DIR --workdir runs/small \
      --rates 0.3 1 3 --seeds 0 1 2 --methods simclr vicreg --out more.jsonl

DIR is a folder of prepared TFDS data sets. With several `--rates`, factors of
the config's learning rate, each is trained and the best is taken by kNN on
2,000 other test images; with several `--seeds` that one is trained again. Each
run keeps its curve and what it was judged, and a run that is there already is
not made again. The rows say what a method learns in so many images, and not
which method is best: their steps cost different amounts.
"""

import argparse
from collections.abc import Callable, Iterator
import dataclasses
import json
import os
import pathlib
import statistics
from typing import Any

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
os.environ.setdefault('CUDA_VISIBLE_DEVICES', '')

import jax
import jax.numpy as jnp

from benchmarks.report import rows
from jaxssl import build, data
from jaxssl import config as config_lib
from jaxssl.augment.preprocessing import usual
from jaxssl.commands.train import train_in_workdir
from jaxssl.config import schema
from jaxssl.evals import features, protocols
from jaxssl.methods import METHODS
from jaxssl.paths import Path
from jaxssl.train.workdir import Workdir
from jaxssl.weights.exported import ExportedEncoder, load_encoder

CONFIGS = pathlib.Path(__file__).parents[2] / 'configs'
NAME = 'cifar10_jpeg'
SPLITS = {
  'train': 'train[:10%]',
  'validation': 'test[20%:40%]',
  'test': 'test[:20%]',
}
SIZE = 32
STEPS, BATCH = 300, 128

VIEWS = {'size': SIZE, 'scale': (0.2, 1.0)}
PATCHES = {'size': SIZE, 'scale': (0.6, 1.0)}
# A quarter of the time of the stem for small pictures.
RESNET = {'stem': 'imagenet'}
VIT = {'dim': 96, 'depth': 4, 'num_heads': 3}

# What else differs from the config for photographs, besides the data.
CHANGES: dict[str, config_lib.Config] = {
  'supervised': {'method': {'num_classes': 10}},
  'dino': {
    'augment': {
      'scale': (0.4, 1.0),
      'local_size': SIZE // 2,
      'local_scale': (0.1, 0.4),
    },
    # Without it the head of a ResNet gives all images the same answer here.
    'head': {'use_bn': True},
  },
  'dvae': {'encoder': {'width': 16}},
  # As many patches as codes: 4x4 of 8 pixels.
  'beit': {
    'encoder': {'patch_size': 8},
    'method': {'num_masked': 6, 'min_block': 2},
  },
  'relative_patch': {
    'augment': PATCHES,
    'method': {'patch_size': 12, 'gap': 4, 'jitter': 1},
  },
  'jigsaw': {'augment': PATCHES, 'method': {'patch_size': 8}},
  # Colours need a map of the features, which the other stem leaves none of.
  'colorization': {
    'augment': {'size': SIZE // 2},
    'encoder': {'stem': 'cifar'},
  },
}
# The teacher of the method that imitates one.
TEACHER = 'simclr'
# Methods that take no texts; the dVAE first, whose codes others need, and last
# what needs a teacher.
RUNS = sorted(
  (name for name, row in METHODS.items() if row.text_encoder is None),
  key=lambda name: (schema.takes_teacher(name), name != 'dvae'),
)


def changes_of(name: str, encoder: str) -> config_lib.Config:
  """Returns what differs from a method's config, besides the data."""
  kinds = {'resnet': RESNET, 'vit': VIT}
  smaller = [keys for kind, keys in kinds.items() if encoder.startswith(kind)]
  changes = {'augment': VIEWS, 'encoder': dict(*smaller)}
  for section, keys in CHANGES.get(name, {}).items():
    changes[section] = {**changes.get(section, {}), **keys}
  return changes


@dataclasses.dataclass(frozen=True)
class Run:
  """One training.

  Attributes:
    name: of the method.
    rate: factor of its learning rate.
    seed: of the run.
  """

  name: str
  rate: float
  seed: int

  @property
  def folder(self) -> str:
    """The workdir, below that of all runs."""
    return f'{self.name}-{self.rate:g}-{self.seed}'


def config_of(run: Run, args: argparse.Namespace) -> config_lib.Config:
  """Returns the config of a run."""
  name = run.name
  config = config_lib.load_file(CONFIGS / f'{METHODS[name].config}.py')
  changes = changes_of(name, config['encoder']['name']) | {
    'train': {
      'steps': args.steps,
      'batch_size': BATCH,
      'checkpoint_steps': args.steps,
      'tensorboard': False,
    },
  }
  for section, values in changes.items():
    config[section] = config.get(section, {}) | values
  rate = config['optim']['learning_rate']
  config['optim']['learning_rate'] = rate | {'start': run.rate * rate['start']}
  config |= {
    'seed': run.seed,
    'data': {
      'name': NAME,
      'data_dir': args.data_dir,
      'split': SPLITS['train'],
    },
    'input': {'image_size': SIZE},
    'eval': {
      'steps': max(args.steps // 4, 1),
      'split': SPLITS['validation'],
      'image_size': config['augment']['size'],
    },
  }
  if schema.takes_codebook(name):
    config['method']['tokenizer'] = str(_needed('dvae', args) / 'export')
  if schema.takes_teacher(name):
    config['method']['teacher'] = str(_needed(TEACHER, args))
  return schema.complete(config)


def _needed(name: str, args: argparse.Namespace) -> pathlib.Path:
  """Returns the workdir of a run that another one needs."""
  return args.workdir / Run(name, 1.0, 0).folder


def judge(
  encode: features.Encode, size: int, split: str, data_dir: str
) -> dict[str, float]:
  """Returns the accuracies of features in per cent, by protocol.

  Of a search's many runs kNN alone, as a linear classifier takes longer than
  their training.
  """
  train, held_out = (
    features.extract(
      encode,
      data.eval_batches(source, batch_size=256, preprocessing=usual(size)),
      class_names=source.class_names or (),
    )
    for source in (
      data.Tfds(NAME, data_dir=data_dir, split=SPLITS[part])
      for part in ('train', split)
    )
  )
  names = ('knn',) if split == 'validation' else ('knn', 'linear')
  return {
    protocol.name: 100 * protocol.run(train, held_out)['top1']
    for protocol in map(protocols.make_protocol, names)
  }


def trained(exported: ExportedEncoder) -> features.Encode:
  """Returns an encoder with the weights of its run."""
  return features.encode_fn(
    exported.encoder, exported.variables, exported.normalize
  )


def untrained(exported: ExportedEncoder) -> features.Encode:
  """Returns an encoder with its first weights, seed 0."""
  size = exported.image_size
  variables = jax.jit(exported.encoder.init)(
    jax.random.key(0), jnp.zeros((1, size, size, 3))
  )
  return features.encode_fn(exported.encoder, variables, exported.normalize)


def losses(workdir: Path) -> tuple[float, float]:
  """Returns the first and the last loss that was logged."""
  lines = map(json.loads, (workdir / 'metrics.jsonl').read_text().splitlines())
  logged = [line['loss'] for line in lines if 'loss' in line]
  return logged[0], logged[-1]


def searched(run: Run, args: argparse.Namespace) -> dict[str, Any]:
  """Trains and judges by kNN on the images for validation, unless it did."""
  workdir, config = Workdir(args.workdir / run.folder), config_of(run, args)
  # Refuses what was made with another budget, also where it is judged already.
  workdir.claim(config)

  def find() -> dict[str, Any]:
    train_in_workdir(build.build(config), workdir)
    found = _judged(workdir, trained, 'validation', args)
    return {
      'encoder': config['encoder']['name'],
      'loss': losses(workdir.path),
      'validation': found['knn-v1'],
    }

  try:
    return kept(workdir.path / 'searched.json', find)
  finally:
    workdir.release()


def tested(
  run: Run,
  encode_of: Callable[[ExportedEncoder], features.Encode],
  args: argparse.Namespace,
) -> dict[str, float]:
  """Judges the encoder of a run on the test images, unless that was done.

  Args:
    run: a run that was searched.
    encode_of: `trained` or `untrained`.
    args: the command line's.
  """
  workdir = Workdir(args.workdir / run.folder)
  return kept(
    workdir.path / f'tested_{encode_of.__name__}.json',
    lambda: _judged(workdir, encode_of, 'test', args),
  )


def _judged(
  workdir: Workdir,
  encode_of: Callable[[ExportedEncoder], features.Encode],
  split: str,
  args: argparse.Namespace,
) -> dict[str, float]:
  exported = load_encoder(workdir.export)
  encode = encode_of(exported)
  return judge(encode, exported.image_size, split, args.data_dir)


def kept(path: Path, find: Callable[[], dict[str, Any]]) -> dict[str, Any]:
  """Returns what a file holds; makes it of what is found if there is none."""
  if not path.exists():
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(find()))
  return json.loads(path.read_text())


def method_rows(
  name: str, args: argparse.Namespace
) -> Iterator[dict[str, Any]]:
  """Trains and judges a method: a row for each protocol."""
  by_rate = {
    rate: searched(Run(name, rate, args.seeds[0]), args) for rate in args.rates
  }
  best = max(args.rates, key=lambda rate: by_rate[rate]['validation'])
  chosen = [Run(name, best, seed) for seed in args.seeds]
  for run in chosen[1:]:
    searched(run, args)
  after = [tested(run, trained, args) for run in chosen]
  before = tested(chosen[0], untrained, args)
  began, ended = by_rate[best]['loss']
  tried = ', '.join(
    f'{rate:g}: {found["validation"]:.1f}' for rate, found in by_rate.items()
  )
  for protocol in sorted(before):
    top1 = [run[protocol] for run in after]
    spread = f' ± {statistics.stdev(top1):.1f}' if len(top1) > 1 else ''
    yield rows.row(
      f'small_runs/{name}/{protocol}',
      ours=statistics.mean(top1),
      theirs=before[protocol],
      unit='% top-1',
      peer='its encoder before training',
      detail=f'{by_rate[best]["encoder"]}, {args.steps} steps of {BATCH}, '
      f'{len(args.seeds)} seeds{spread}; rate {best:g} of {tried}; loss '
      f'{began:.3f} -> {ended:.3f}',
    )


def all_rows(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
  """Yields the rows of raw pixels and of every method."""
  pixels = kept(
    args.workdir / 'raw_pixels.json',
    lambda: judge(features.raw_pixels, SIZE, 'test', args.data_dir),
  )
  for protocol, accuracy in pixels.items():
    yield rows.row(
      f'small_runs/raw_pixels/{protocol}',
      ours=accuracy,
      theirs=None,
      unit='% top-1',
      peer='none',
      detail=f'{SIZE}x{SIZE} pixels',
    )
  for name in args.methods or RUNS:
    yield from method_rows(name, args)


def main() -> None:
  parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
  parser.add_argument('--data_dir', required=True)
  parser.add_argument('--workdir', type=pathlib.Path, required=True)
  parser.add_argument('--methods', nargs='+', choices=RUNS)
  parser.add_argument('--steps', type=int, default=STEPS)
  parser.add_argument('--rates', nargs='+', type=float, default=[1.0])
  parser.add_argument('--seeds', nargs='+', type=int, default=[0])
  parser.add_argument('--out', help='file to write the rows to, JSON lines')
  args = parser.parse_args()
  if not (pathlib.Path(args.data_dir) / NAME).is_dir():
    parser.exit(message=f'not run: there is no {NAME} in {args.data_dir}\n')
  rows.report(all_rows(args), args.out)


if __name__ == '__main__':
  main()
