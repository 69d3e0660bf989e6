"""What a training step of each method costs: time, memory, augmentation.

For a config of every method, its whole step (`train_step`, compiled) on noise:
median seconds, products and convolutions by trace, and the bytes of the
compiled step (`memory_analysis`: arguments and temporaries). The augmentation
is a part of that program; compiled by itself as well, it says what share it
takes. Two more rows measure what should not cost more than its operations:

- `mae_encoder`: forward and backward pass of a ViT on a quarter of the patches
  against all of them;
- `multi_crop`: the same of a ResNet on two large and six small views against
  the two large ones.

  python -m benchmarks.speed.methods --out rows.jsonl
  python -m benchmarks.speed.methods --device gpu --out rows.jsonl

On a CPU the configs are the small ones, on a GPU the published ones with
`--batch_size` images per step, and `theirs` is what the card could do at its
peak in bfloat16. BEiT's tokenizer and a teacher have random weights. Shares and
ratios are of processor time on a CPU, which other work disturbs less than the
clock.
"""

import argparse
from collections.abc import Callable, Iterator
import functools
import pathlib
import statistics
import tempfile
import time
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.report import rows
from benchmarks.speed import peaks
from jaxssl import config, models
from jaxssl.augment.preprocessing import usual
from jaxssl.config import schema
from jaxssl.config.recomputation import without_recomputation
from jaxssl.methods import METHODS
from jaxssl.planning.abstract import Plan, plan
from jaxssl.planning.flops import matmul_flops
from jaxssl.weights.exported import ExportedEncoder, save_encoder

CONFIGS = pathlib.Path(__file__).parents[2] / 'configs'
NAMES = {
  'cpu': tuple(row.config for row in METHODS.values()),
  'gpu': tuple(sorted(file.stem for file in CONFIGS.glob('*_imagenet.py'))),
}
# Only the schedules depend on it.
NUM_EXAMPLES = 1_281_167


class Seconds(NamedTuple):
  """Medians over calls: of the clock, and of all processors of this host."""

  clock: float
  processor: float

  @property
  def cost(self) -> float:
    """What shares are taken of."""
    on_host = jax.default_backend() == 'cpu'
    return self.processor if on_host else self.clock


def seconds_of(function: Callable[[], Any], calls: int) -> Seconds:
  """Measures calls, after one that is not counted."""
  jax.block_until_ready(function())
  times = []
  for _ in range(calls):
    start = time.perf_counter(), time.process_time()
    jax.block_until_ready(function())
    times.append(
      (time.perf_counter() - start[0], time.process_time() - start[1])
    )
  return Seconds(*map(statistics.median, zip(*times, strict=True)))


def make_plan(name: str, batch_size: int | None, folder: str) -> Plan:
  """Returns the step of a config and the shapes that it takes."""
  sections = config.load_file(CONFIGS / f'{name}.py')
  if schema.takes_codebook(sections['method']['name']):
    vocab_size = 256 if name == 'beit_photos' else 8192
    small = {'width': 32, 'blocks_per_group': 1} if vocab_size < 8192 else {}
    section = {'name': 'dvae', 'vocab_size': vocab_size, **small}
    sections['method'] |= {'tokenizer': random_encoder(folder, section)}
  if schema.takes_teacher(sections['method']['name']):
    section = {'name': 'resnet18', 'stem': 'cifar', 'width': 0.25}
    sections['method'] |= {'teacher': random_encoder(folder, section)}
  return plan(
    schema.complete(sections), batch_size=batch_size, num_examples=NUM_EXAMPLES
  )


def random_encoder(folder: str, section: dict[str, Any]) -> str:
  """Saves an encoder that has learned nothing; as large as configs have it."""
  encoder, images = models.make_encoder(**section), jnp.zeros((1, 64, 64, 3))
  variables = jax.jit(encoder.init)(jax.random.key(0), images)
  exported = ExportedEncoder(
    section=section,
    variables=jax.device_get(variables),
    preprocessing=usual(64),
    step=0,
    config_hash='random',
  )
  return str(save_encoder(folder, exported))


def noise(shape: jax.ShapeDtypeStruct) -> np.ndarray:
  """Returns an array of a batch: pixels, or labels and tokens of 0 and 1."""
  high = 256 if shape.dtype == jnp.uint8 else 2
  return np.random.default_rng(0).integers(0, high, shape.shape, shape.dtype)


def start(planned: Plan) -> tuple[Any, Any]:
  """Returns the state of step zero, and a batch of noise, on the devices."""
  mode = planned.run.mode
  batch = mode.put_batch(jax.tree.map(noise, planned.batch))
  init = planned.run.learner.init
  return mode.init(init, jax.random.key(0), batch), batch


def method_row(name: str, args: argparse.Namespace) -> dict[str, Any]:
  """Measures the step of one config."""
  with tempfile.TemporaryDirectory() as folder:
    planned = make_plan(name, args.batch_size, folder)
    flops = model_flops(planned.run.config, args.batch_size)
    run = planned.run
    learner = run.learner
    state, batch = start(planned)
  step = run.mode.compile(learner.step).lower(state, batch).compile()
  memory = step.memory_analysis()
  used = memory.argument_size_in_bytes + memory.temp_size_in_bytes
  augment = jax.jit(functools.partial(learner.augment, axis_name=None))
  alone = seconds_of(lambda: augment(jax.random.key(1), batch), args.steps)
  held = [state]

  def one_step():
    held[0], metrics = step(held[0], batch)
    return metrics

  whole = seconds_of(one_step, args.steps)
  images, peak = run.train.batch_size, peak_flops()
  return rows.row(
    f'methods/{name}',
    ours=images / whole.clock,
    theirs=peak and images * peak / flops,
    unit='images/s',
    peer='none' if peak is None else 'dense bfloat16 peak of the card',
    detail=f'batch {images}, {args.steps} steps of {whole.clock:.3g} s, '
    f'{whole.processor:.3g} s of processor time, {flops / 1e9:.4g} GFLOP; '
    f'augmentation alone {alone.clock:.3g} s, {alone.cost / whole.cost:.1%}; '
    f'{used / 2**20:.0f} MiB',
  )


def model_flops(sections: config.Config, batch_size: int | None) -> float:
  """Returns the operations of a step, recomputation left out.

  Counted in float32: on a GPU, cuDNN's fused attention takes only half
  precision, and its products are not in the trace.
  """
  encoder = sections['encoder']
  if 'dtype' in encoder:
    sections = {**sections, 'encoder': {**encoder, 'dtype': 'float32'}}
  planned = plan(
    without_recomputation(sections),
    batch_size=batch_size,
    num_examples=NUM_EXAMPLES,
  )
  return matmul_flops(planned.step, planned.state, planned.batch)


def peak_flops() -> float | None:
  """Returns the peak of this accelerator, if it is known."""
  return peaks.peak_flops(jax.devices()[0].device_kind)


def train_cost(encoder, views, args, **options) -> tuple[Seconds, float]:
  """Returns time and FLOPs of forward and backward passes over some views."""
  variables = jax.jit(encoder.init)(jax.random.key(0), views[0][:1])
  stats = {k: v for k, v in variables.items() if k != 'params'}

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

  gradient = jax.jit(jax.grad(loss))
  params = variables['params']
  seconds = seconds_of(lambda: gradient(params), args.steps)
  return seconds, matmul_flops(jax.grad(loss), params)


def mae_encoder_row(args: argparse.Namespace) -> dict[str, Any]:
  """Compares a quarter of the patches with all of them."""
  encoder = models.make_encoder('vit_ti4', position='sincos_mae')
  images = jnp.ones((64, 32, 32, 3))
  keep = jnp.broadcast_to(jnp.arange(16)[None], (64, 16))
  return ratio_row(
    'mae_encoder',
    train_cost(encoder, [images], args, keep=keep),
    train_cost(encoder, [images], args),
    'ViT-Ti/4, 64 images of 32 px, 16 of 64 patches against all',
  )


def multi_crop_row(args: argparse.Namespace) -> dict[str, Any]:
  """Compares two large and six small views with the large ones."""
  encoder = models.make_encoder('resnet18', stem='cifar', width=0.25)
  large, small = jnp.ones((128, 32, 32, 3)), jnp.ones((384, 16, 16, 3))
  return ratio_row(
    'multi_crop',
    train_cost(encoder, [large, small], args),
    train_cost(encoder, [large], args),
    'ResNet-18 of width 1/4, 2 x 64 views of 32 px with 6 x 64 of 16 px '
    'against those of 32 px alone',
  )


def ratio_row(name: str, some, reference, what: str) -> dict[str, Any]:
  """Compares the ratio of two costs with that of their operations."""
  (some, some_flops), (reference, reference_flops) = some, reference
  return rows.row(
    f'methods/{name}',
    ours=some.cost / reference.cost,
    theirs=some_flops / reference_flops,
    unit='of the time of the reference',
    peer='ratio of the operations',
    detail=f'{what}, forward and backward: {some.clock:.3g} against '
    f'{reference.clock:.3g} s, processor time {some.processor:.3g} against '
    f'{reference.processor:.3g} s',
    lower_is_better=True,
  )


def all_rows(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
  if args.device == 'gpu' and jax.default_backend() != 'gpu':
    for name in args.configs or NAMES['gpu']:
      yield rows.row(
        f'methods/{name}',
        ours=None,
        theirs=None,
        unit='images/s',
        peer='dense bfloat16 peak of the card',
        detail='not run: no GPU found',
      )
    return
  for name in args.configs or NAMES[args.device]:
    yield method_row(name, args)
  if not args.configs:
    yield mae_encoder_row(args)
    yield multi_crop_row(args)


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--device', choices=NAMES, default='cpu')
  parser.add_argument('--configs', nargs='+', metavar='NAME')
  parser.add_argument('--batch_size', type=int, help='64 on a GPU')
  parser.add_argument('--steps', type=int, default=5)
  parser.add_argument('--out', help='file to write the rows to, JSON lines')
  args = parser.parse_args()
  if args.device == 'gpu':
    args.batch_size = args.batch_size or 64
  else:
    jax.config.update('jax_platforms', 'cpu')
  for name in args.configs or ():
    if name not in NAMES[args.device]:
      known = ', '.join(NAMES[args.device])
      parser.error(f'{name} is not measured on a {args.device}: {known}')
  rows.report(all_rows(args), args.out)


if __name__ == '__main__':
  main()
