"""Every image method with one budget, on two data sets and two encoders.

The small configs of the package (`configs/*_photos.py`), all with the same
encoder and the same number of steps of the same batch, as `jaxssl train` trains
them. The data are 5,000 images of `cifar10_jpeg` and the package's `photos`;
the encoders a ResNet-18 of width 1/4 and a ViT of 192 x 6. Then the protocols
`knn-v1` and `linear_sgd-v1`, and `knn_segmentation-v1` on `shapes`. Beside them
raw pixels, supervised training, and each encoder as it was before training
(`theirs`).

  python -m benchmarks.quality.small_runs --data_dir DIR --workdir runs/small \
      --rates 0.3 1 3 --out rows.jsonl
  python -m benchmarks.quality.small_runs --data_dir DIR --workdir runs/small \
      --rates 0.3 1 3 --seeds 0 1 2 --methods simclr vicreg --out more.jsonl

DIR is a folder of prepared TFDS data sets. With several `--rates`, factors of
the config's learning rate, each is trained on CIFAR-10 and the best is taken by
kNN on 2,000 other test images, for `photos` too, which has no pictures to
choose by; with several `--seeds` that one is trained again. Each run keeps its
curve and what it was judged, and a run that is there already is not made again.
The rows say what a method learns in so many images, and not which method is
best: their steps cost different amounts.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping
import dataclasses
import hashlib
import json
import os
import pathlib
import statistics
from typing import Any

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
os.environ.setdefault('CUDA_VISIBLE_DEVICES', '')

import jax
import jax.numpy as jnp
import optax

from benchmarks.report import rows
from jaxssl import build, cli, compile_cache, data
from jaxssl import config as config_lib
from jaxssl.augment.preprocessing import usual
from jaxssl.commands.train import train_in_workdir
from jaxssl.config import schema
from jaxssl.data.source import Source
from jaxssl.evals import features, protocols
from jaxssl.methods import METHODS
from jaxssl.train.workdir import Workdir
from jaxssl.train.writers import read_json_lines
from jaxssl.weights.exported import ExportedEncoder, load_encoder

CONFIGS = pathlib.Path(__file__).parents[2] / 'configs'
CIFAR = 'cifar10_jpeg'
SPLITS = {
  'train': 'train[:10%]',
  'validation': 'test[20%:40%]',
  'test': 'test[:20%]',
}
DATA = ('cifar10', 'photos')
DENSE = 'knn_segmentation'
SIZE = 32
# A step of the ViT takes six times as long as one of the ResNet, so that the
# search over learning rates, which is on CIFAR-10, has fewer.
STEPS = {
  'cifar10': {'resnet': 250, 'vit': 60, 'dvae': 250},
  'photos': {'resnet': 250, 'vit': 250, 'dvae': 250},
}
BATCH = 128
# Besides that of the start. One takes as long as ten steps of the ViT.
EVALUATIONS = {
  'cifar10': {'resnet': 5, 'vit': 1, 'dvae': 1},
  'photos': {'resnet': 5, 'vit': 5, 'dvae': 1},
}

ENCODERS: dict[str, config_lib.Config] = {
  # A quarter of the time of the stem for small pictures.
  'resnet': {'name': 'resnet18', 'stem': 'imagenet', 'width': 0.25},
  # 16 patches.
  'vit': {'name': 'vit_ti8', 'dim': 192, 'depth': 6, 'num_heads': 3},
}
# What else differs from the config, for either data set.
ALWAYS: dict[str, config_lib.Config] = {
  'dvae': {'encoder': {'width': 16}, 'augment': {'size': SIZE}},
  # Of 16 patches instead of 64.
  'beit': {'method': {'num_masked': 6, 'min_block': 2}},
  'data2vec': {'method': {'num_masked': 8, 'min_block': 2}},
  'maskfeat': {'method': {'num_masked': 6, 'min_block': 2}},
}
ON_CIFAR: dict[str, config_lib.Config] = {
  'supervised': {'method': {'num_classes': 10}},
  'relative_patch': {'method': {'patch_size': 8, 'gap': 4, 'jitter': 1}},
  'jigsaw': {'method': {'patch_size': 8}},
}
# Views of whole pictures, where those of `photos` are parts of photographs.
VIEWS = {'size': SIZE, 'scale': (0.2, 1.0)}
CROPS = {
  'scale': (0.4, 1.0),
  'local_size': SIZE // 2,
  'local_scale': (0.1, 0.4),
}
PATCHES = {'size': SIZE, 'scale': (0.6, 1.0)}
WITH_RESNET: dict[str, config_lib.Config] = {
  # Without it the head gives all images the same answer here.
  'dino': {'head': {'use_bn': True}},
  # Colours need a map of the features, which the other stem leaves none of.
  'colorization': {
    'encoder': {'stem': 'cifar'},
    'augment': {'size': SIZE // 2},
  },
}
# What sees tiles in training and whole images later.
TILES: config_lib.Config = {'encoder': {'position': 'sincos_mae'}}
WITH_VIT = {'jigsaw': TILES, 'relative_patch': TILES}
# The teacher of the method that imitates one.
TEACHER = 'simclr'
# Methods that take no texts; the dVAE first, whose codes others need, and last
# what needs a teacher.
RUNS = sorted(
  (name for name, row in METHODS.items() if row.text_encoder is None),
  key=lambda name: (schema.takes_teacher(name), name != 'dvae'),
)


def encoders_of(name: str) -> tuple[str, ...]:
  """Returns the encoders that a method is trained with: keys of `ENCODERS`.

  Methods that hide patches need a ViT; the dVAE's encoder is its own.
  """
  encoder = _small_config(name)['encoder']['name']
  if encoder == 'dvae':
    return ('dvae',)
  return ('vit',) if encoder.startswith('vit') else ('resnet', 'vit')


def _small_config(name: str) -> config_lib.Config:
  return config_lib.load_file(CONFIGS / f'{METHODS[name].config}.py')


@dataclasses.dataclass(frozen=True)
class Run:
  """One training.

  Attributes:
    name: of the method.
    encoder: one of `encoders_of`.
    data: one of `DATA`.
    rate: factor of its learning rate.
    seed: of the run.
  """

  name: str
  encoder: str
  data: str
  rate: float
  seed: int

  @property
  def folder(self) -> str:
    """The workdir, below that of all runs."""
    return '-'.join(map(str, dataclasses.astuple(self)))


def needed(run: Run) -> tuple[Run, ...]:
  """Returns what must be trained before a run: its dVAE or its teacher."""
  if schema.takes_codebook(run.name):
    return (Run('dvae', 'dvae', run.data, 1.0, 0),)
  if schema.takes_teacher(run.name):
    return (Run(TEACHER, run.encoder, run.data, 1.0, 0),)
  return ()


def config_of(run: Run, args: argparse.Namespace) -> config_lib.Config:
  """Returns the config of a run."""
  name = run.name
  config = _small_config(name)
  steps = max(round(args.share * STEPS[run.data][run.encoder]), 1)
  share = steps / config['train']['steps']
  _change(config, ALWAYS.get(name, {}))
  if run.encoder != 'dvae':
    kept = {} if run.encoder == 'resnet' else _of_a_vit(config['encoder'])
    config['encoder'] = kept | ENCODERS[run.encoder]
  others = WITH_RESNET if run.encoder == 'resnet' else WITH_VIT
  _change(config, others.get(name, {}))
  evaluation = {
    'steps': max(steps // EVALUATIONS[run.data][run.encoder], 1),
    'image_size': min(config['augment']['size'], SIZE),
  }
  if run.data == 'cifar10':
    views = PATCHES if config['augment']['name'] == 'patches' else VIEWS
    if 'local_size' in config['augment']:
      views = VIEWS | CROPS
    size = evaluation['image_size']
    _change(config, {'augment': views | {'size': size}})
    _change(config, ON_CIFAR.get(name, {}))
    config['data'] = {
      'name': CIFAR,
      'data_dir': args.data_dir,
      'split': SPLITS['train'],
    }
    config['input'] = {'image_size': SIZE}
    config['eval'] = evaluation | {'split': SPLITS['validation']}
  else:
    config['eval'] = evaluation | {'data': {'crop': 64, 'size': SIZE}}
  _change(
    config,
    {
      'seed': run.seed,
      'optim': _optimizer(config['optim'], run.rate, share),
      'train': {
        'steps': steps,
        'batch_size': BATCH,
        'log_steps': max(steps // 20, 1),
        'checkpoint_steps': steps,
        'tensorboard': False,
      },
    },
  )
  if name == 'dinov3':  # The anchor is three of the run's own teachers.
    _change(config, {'method': {'gram_every': max(steps // 4, 1)}})
  for other in needed(run):
    workdir = args.workdir / other.folder
    if schema.takes_codebook(name):
      config['method']['tokenizer'] = str(workdir / 'export')
    else:
      config['method']['teacher'] = str(workdir)
  return schema.complete(config)


def _of_a_vit(section: Mapping[str, Any]) -> config_lib.Config:
  """Returns what a section of a ViT says besides its size."""
  if not section['name'].startswith('vit'):
    return {}
  return {k: v for k, v in section.items() if k not in ENCODERS['vit']}


def _change(config: config_lib.Config, changes: config_lib.Config) -> None:
  """Changes keys of sections in place."""
  for section, value in changes.items():
    own = config.get(section, {})
    config[section] = own | value if isinstance(value, dict) else value


def _optimizer(
  section: Mapping[str, Any], factor: float, share: float
) -> config_lib.Config:
  """Returns section `optim` for another learning rate and a shorter run.

  Args:
    section: of the method's config.
    factor: of the learning rate.
    share: of the config's steps; what counts steps follows.
  """
  rate = section['learning_rate']
  rules = [
    rule | {'freeze_steps': round(share * rule['freeze_steps'])}
    if rule.get('freeze_steps', 0) > 0
    else rule
    for rule in section.get('rules', ())
  ]
  return {
    'learning_rate': rate
    | {
      'start': factor * rate['start'],
      'warmup_steps': max(round(share * rate['warmup_steps']), 1),
    },
    **({'rules': tuple(rules)} if rules else {}),
  }


def built(run: Run, args: argparse.Namespace) -> build.Run:
  """Builds a run so that one compiled step serves all learning rates.

  The rate is a number of the state instead of one of the program, behind the
  optimizer of rate 1, where it is exactly a factor of the learning rate.
  """
  own = build.build(config_of(run, args))
  plain = build.build(config_of(dataclasses.replace(run, rate=1.0), args))
  tx = optax.chain(plain.learner.tx, scale_by_number(run.rate))
  return dataclasses.replace(
    own, learner=dataclasses.replace(own.learner, tx=tx)
  )


def scale_by_number(factor: float) -> optax.GradientTransformation:
  """Multiplies updates by a number that is kept in the state."""

  def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
    del params
    return jax.tree.map(lambda u: u * state.astype(u.dtype), updates), state

  return optax.GradientTransformation(
    lambda params: jnp.asarray(factor, jnp.float32), update
  )


def pictures(data_name: str, part: str, data_dir: str) -> Source:
  """Returns what features are judged on.

  Args:
    data_name: one of `DATA`.
    part: `'train'` or `'test'`.
    data_dir: of the prepared data.
  """
  if data_name == 'photos':
    return data.make_source('photos', split=part, crop=64, size=SIZE)
  return data.Tfds(CIFAR, data_dir=data_dir, split=SPLITS[part])


def judge(
  encode: features.Encode, size: int, data_name: str, data_dir: str
) -> dict[str, float]:
  """Returns the accuracies of features in per cent, by protocol."""
  train, held_out = (
    features.extract(
      encode,
      data.eval_batches(source, batch_size=256, preprocessing=usual(size)),
      class_names=source.class_names or (),
    )
    for source in (
      pictures(data_name, which, data_dir) for which in ('train', 'test')
    )
  )
  return {
    protocol.name: 100 * protocol.run(train, held_out)['top1']
    for protocol in map(protocols.make_protocol, ('knn', 'linear'))
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


def curve(run: Run, key: str, args: argparse.Namespace) -> list[float]:
  """Returns the values of a run's log under a name."""
  path = args.workdir / run.folder / 'metrics.jsonl'
  return [line[key] for line in read_json_lines(path) if key in line]


def train(run: Run, args: argparse.Namespace) -> None:
  """Trains a run and what it needs, unless that was done."""
  for other in needed(run):
    train(other, args)
  workdir = Workdir(args.workdir / run.folder)
  # Refuses what was made with another budget.
  workdir.claim(config_of(run, args))
  try:
    if not workdir.export.exists():
      train_in_workdir(built(run, args), workdir)
  finally:
    workdir.release()


def validated(run: Run, args: argparse.Namespace) -> float:
  """Returns kNN on the images for validation, in per cent."""
  train(run, args)
  return 100 * curve(run, 'knn/top1', args)[-1]


def tested(run: Run, args: argparse.Namespace) -> dict[str, float]:
  """Returns what a trained run reaches on the test images, once judged."""
  return kept(
    args.workdir / run.folder / 'tested.json',
    lambda: _judged(run, trained, args) | _dense(run, 'trained', args),
  )


def tested_before(run: Run, args: argparse.Namespace) -> dict[str, float]:
  """Returns the same of its encoder before training, once judged.

  Methods with the same encoder and preparation of pictures share it.
  """
  exported = load_encoder(Workdir(args.workdir / run.folder).export)
  rule = dataclasses.asdict(exported.preprocessing)
  encoder = [exported.section, rule, run.data]
  digest = hashlib.sha256(json.dumps(encoder).encode()).hexdigest()[:16]
  return kept(
    args.workdir / f'untrained-{digest}.json',
    lambda: _judged(run, untrained, args) | _dense(run, 'untrained', args),
  )


def _judged(
  run: Run,
  encode_of: Callable[[ExportedEncoder], features.Encode],
  args: argparse.Namespace,
) -> dict[str, float]:
  exported = load_encoder(Workdir(args.workdir / run.folder).export)
  encode = encode_of(exported)
  return judge(encode, exported.image_size, run.data, args.data_dir)


def _dense(run: Run, which: str, args: argparse.Namespace) -> dict[str, float]:
  """Returns the mIoU of patch features in per cent; the dVAE has none."""
  if run.encoder == 'dvae':
    return {}
  workdir = args.workdir / run.folder
  baselines = '--no_baselines' if which == 'trained' else '--baselines'
  command = ['eval', DENSE, f'--workdir={workdir}', '--data=shapes']
  # Features of 8 x 8 pixels, as those of the ViT; the last are of 32 x 32.
  layer = 'stage2' if run.encoder == 'resnet' else None
  command += [f'--layer={layer}'] if layer else []
  if cli.main([*command, '--size=64', '--limit=256', baselines]):
    raise RuntimeError(f'no {DENSE} of {workdir}')
  name = '-'.join([f'{DENSE}-v1-shapes', *([layer] if layer else [])])
  path = workdir / 'results' / f'{name}.json'
  result = json.loads(path.read_text())
  found = result['metrics']
  if which == 'untrained':
    found = result['baselines']['untrained encoder']
  return {f'{DENSE}-v1': 100 * found['miou']}


def kept(path: pathlib.Path, find: Callable[[], dict[str, Any]]) -> Any:
  """Returns what a file holds; makes it of what is found if there is none."""
  if not path.exists():
    path.write_text(json.dumps(find()))
  return json.loads(path.read_text())


def method_rows(
  name: str, encoder: str, args: argparse.Namespace
) -> Iterator[dict[str, Any]]:
  """Trains and judges a method: a row for each data set and protocol."""
  first = Run(name, encoder, 'cifar10', 1.0, args.seeds[0])
  tried = {
    rate: validated(dataclasses.replace(first, rate=rate), args)
    for rate in args.rates
  }
  best = max(tried, key=lambda rate: tried[rate])
  search = ', '.join(f'{rate:g}: {top1:.1f}' for rate, top1 in tried.items())
  for data_name in args.data:
    chosen = [Run(name, encoder, data_name, best, seed) for seed in args.seeds]
    for run in chosen:
      train(run, args)
    after = [tested(run, args) for run in chosen]
    before = tested_before(chosen[0], args)
    logged = curve(chosen[0], 'loss', args)
    for protocol in before:
      found = [run[protocol] for run in after]
      spread = f' ± {statistics.stdev(found):.1f}' if len(found) > 1 else ''
      yield rows.row(
        f'small_runs/{data_name}/{encoder}/{name}/{protocol}',
        ours=statistics.mean(found),
        theirs=before[protocol],
        unit='% mIoU' if protocol.startswith(DENSE) else '% top-1',
        peer='its encoder before training',
        detail=f'{len(args.seeds)} seeds{spread}; rate {best:g} of {search}; '
        f'loss {logged[0]:.3f} -> {logged[-1]:.3f}',
      )


def all_rows(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
  """Yields the rows of raw pixels and of every method."""
  args.workdir.mkdir(parents=True, exist_ok=True)
  for data_name in args.data:
    pixels = kept(
      args.workdir / f'raw_pixels-{data_name}.json',
      lambda data_name=data_name: judge(
        features.raw_pixels, SIZE, data_name, args.data_dir
      ),
    )
    for protocol, accuracy in pixels.items():
      yield rows.row(
        f'small_runs/{data_name}/raw_pixels/{protocol}',
        ours=accuracy,
        theirs=None,
        unit='% top-1',
        peer='none',
        detail=f'{SIZE}x{SIZE} pixels',
      )
  for name in args.methods or RUNS:
    for encoder in encoders_of(name):
      if encoder in args.encoders or encoder == 'dvae':
        yield from method_rows(name, encoder, args)


def main() -> None:
  parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
  parser.add_argument('--data_dir', required=True)
  parser.add_argument('--workdir', type=pathlib.Path, required=True)
  parser.add_argument('--methods', nargs='+', choices=RUNS)
  parser.add_argument(
    '--encoders', nargs='+', choices=ENCODERS, default=list(ENCODERS)
  )
  parser.add_argument('--data', nargs='+', choices=DATA, default=list(DATA))
  parser.add_argument('--share', type=float, default=1.0, help='of the steps')
  parser.add_argument('--rates', nargs='+', type=float, default=[1.0])
  parser.add_argument('--seeds', nargs='+', type=int, default=[0])
  parser.add_argument('--out', help='file to write the rows to, JSON lines')
  args = parser.parse_args()
  if not (pathlib.Path(args.data_dir) / CIFAR).is_dir():
    parser.exit(message=f'not run: there is no {CIFAR} in {args.data_dir}\n')
  compile_cache.enable()  # the rates of a method share a program
  rows.report(all_rows(args), args.out)


if __name__ == '__main__':
  main()
