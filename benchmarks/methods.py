"""What a training step of each method costs: time, memory, augmentation.

For every small config of the package, built as `jaxssl train` builds it: median
seconds of a step, of its augmentation alone (compiled by itself), and the bytes
of the compiled step (`memory_analysis`: arguments and temporaries). Two more
rows measure what should not cost more than its operations:

- `mae_encoder`: forward and backward pass of a ViT on a quarter of the patches
  against all of them; the peer is the ratio of operations.
- `multi_crop`: the same of a ResNet on two large and six small views against
  the two large ones.

  python -m benchmarks.methods --out rows.jsonl
"""

import argparse
from collections.abc import Callable, Iterator
import functools
import pathlib
import statistics
import time
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks import rows
from jaxssl import build, config, models
from jaxssl.job import make_job
from jaxssl.train.loop import on_device_part
from jaxssl.train.state import init_state
from jaxssl.train.step import train_step

CONFIGS = pathlib.Path(__file__).parent.parent / 'configs'
# BEiT needs a trained tokenizer, CLIP and SigLIP one of texts.
SMALL = (
  'quickstart',
  'moco_v2_photos',
  'moco_v3_photos',
  'dino_photos',
  'mae_photos',
  'dvae_photos',
  'rotation_photos',
  'jigsaw_photos',
  'relative_patch_photos',
  'colorization_photos',
)


def method_row(name: str, steps: int) -> dict[str, Any]:
  """Measures the step of one config."""
  run = build.build(build.complete(config.load_file(CONFIGS / f'{name}.py')))
  batches = make_job(run, dry=True).make_batches(0)
  batch = run.mode.put_batch(on_device_part(next(batches)))
  batches.close()
  parts = {'method': run.method, 'augment': run.augment, 'tx': run.tx}
  state = run.mode.init(
    functools.partial(init_state, **parts), jax.random.key(0), batch
  )
  step = run.mode.compile(functools.partial(train_step, **parts))
  step = step.lower(state, batch).compile()
  memory = step.memory_analysis()
  used = memory.argument_size_in_bytes + memory.temp_size_in_bytes
  augment = jax.jit(functools.partial(run.augment, axis_name=None))
  key = jax.random.key(1)
  share = median_seconds(lambda: augment(key, batch), steps)
  held = [state]

  def one_step():
    held[0], metrics = step(held[0], batch)
    return metrics

  seconds = median_seconds(one_step, steps)
  return rows.row(
    f'methods/{name}',
    ours=seconds,
    theirs=None,
    unit='s/step',
    peer='none',
    detail=f'batch {run.train.batch_size}, {steps} steps, augmentation alone '
    f'{share:.4f} s ({share / seconds:.1%}), {used / 2**20:.0f} MiB',
    lower_is_better=True,
  )


def median_seconds(function: Callable[[], Any], steps: int) -> float:
  """Returns the median time of a call, after one that is not counted."""
  jax.block_until_ready(function())
  times = []
  for _ in range(steps):
    start = time.perf_counter()
    jax.block_until_ready(function())
    times.append(time.perf_counter() - start)
  return statistics.median(times)


def train_seconds(encoder, views, steps: int, **options) -> float:
  """Times forward and backward passes of an encoder over groups of views."""
  variables = jax.jit(encoder.init)(jax.random.key(0), views[0][:1])
  stats = {k: v for k, v in variables.items() if k != 'params'}

  @jax.jit
  def gradient(params):
    def loss(params):
      outputs = [
        encoder.apply(
          {'params': params, **stats},
          view,
          train=True,
          mutable=list(stats),
          **options,
        )
        for view in views
      ]
      return sum(jnp.sum(features) for ((features, _), _) in outputs)

    return jax.grad(loss)(params)

  return median_seconds(lambda: gradient(variables['params']), steps)


def mae_encoder_row(steps: int) -> dict[str, Any]:
  """Compares a quarter of the patches with all of them."""
  encoder = models.make_encoder('vit_ti4', position='sincos_mae')
  images = jnp.ones((64, 32, 32, 3))
  keep = jnp.broadcast_to(jnp.arange(16)[None], (64, 16))
  some = train_seconds(encoder, [images], steps, keep=keep)
  every = train_seconds(encoder, [images], steps)
  return rows.row(
    'methods/mae_encoder',
    ours=some / every,
    # Attention between fewer tokens costs less than its share; the class token
    # is always there.
    theirs=17 / 65,
    unit='of the time of all patches',
    peer='share of the tokens',
    detail=f'ViT-Ti/4, 64 images of 32 px, forward and backward: {some:.3f} s '
    f'with 16 of 64 patches, {every:.3f} s with all',
    lower_is_better=True,
  )


def multi_crop_row(steps: int) -> dict[str, Any]:
  """Compares two large and six small views with the large ones."""
  encoder = models.make_encoder('resnet18', stem='cifar', width=0.25)
  large, small = jnp.ones((128, 32, 32, 3)), jnp.ones((384, 16, 16, 3))
  both = train_seconds(encoder, [large, small], steps)
  alone = train_seconds(encoder, [large], steps)
  return rows.row(
    'methods/multi_crop',
    ours=both / alone,
    theirs=1 + 384 * 16**2 / (128 * 32**2),
    unit='of the time of the large views',
    peer='pixels',
    detail='ResNet-18 of width 1/4, 2 x 64 views of 32 px and 6 x 64 of 16 px, '
    f'forward and backward: {both:.3f} s, large views alone {alone:.3f} s',
    lower_is_better=True,
  )


def all_rows(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
  for name in args.configs or SMALL:
    yield method_row(name, args.steps)
  if not args.configs:
    yield mae_encoder_row(args.steps)
    yield multi_crop_row(args.steps)


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--configs', nargs='+', choices=SMALL)
  parser.add_argument('--steps', type=int, default=5)
  parser.add_argument('--out', help='file to write the rows to, JSON lines')
  args = parser.parse_args()
  rows.report(all_rows(args), args.out)


if __name__ == '__main__':
  main()
