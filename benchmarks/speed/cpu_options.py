"""Processor time of training steps on a CPU by what they are compiled with.

  taskset -c 0 python -m benchmarks.speed.cpu_options --out rows.jsonl
  taskset -c 0 python -m benchmarks.speed.cpu_options --configs quickstart

Each step is compiled with the options of the package (`ours`) and with others
(`theirs`), and all take turns within one process. One more variant computes in
bfloat16. Above 1 the options of the package are faster. The configs are the
small ones as they stand, on noise.
"""

import argparse
from collections.abc import Callable, Iterator
import os
import statistics
import sys
import time
from typing import Any

os.environ.setdefault('JAX_PLATFORMS', 'cpu')

import jax

from benchmarks.report import rows
from benchmarks.speed import methods, turns
from jaxssl import config as config_lib
from jaxssl.config import schema
from jaxssl.parallel import compiler_options
from jaxssl.planning.abstract import plan

CONFIGS = ('quickstart', 'mae_photos')
OURS = 'ours'
# Beside the options of the package, or instead of all (None).
VARIANTS: dict[str, compiler_options.Options | None] = {
  OURS: {},
  "XLA's own": None,
  'preset fast runtime': {'xla_cpu_opt_preset': 'CPU_OPT_PRESET_FAST_RUNTIME'},
  'preset fast compile': {'xla_cpu_opt_preset': 'CPU_OPT_PRESET_FAST_COMPILE'},
  'fast math': {'xla_cpu_enable_fast_math': True},
}
BFLOAT16 = 'bfloat16'
Step = Callable[[], object]


def make_step(
  name: str, batch_size: int, options: compiler_options.Options, dtype: str
) -> tuple[Step, float]:
  """Returns a function that takes one step, and the seconds to compile it."""
  sections = config_lib.load_file(methods.CONFIGS / f'{name}.py')
  sections['encoder'] |= {'dtype': dtype}
  planned = plan(
    schema.complete(sections), batch_size=batch_size, num_examples=4864
  )
  state, batch = methods.start(planned)
  lowered = jax.jit(planned.step, donate_argnums=0).lower(state, batch)
  start = time.process_time()
  compiled = lowered.compile(compiler_options=dict(options))
  taken = time.process_time() - start
  held = [state]

  def step() -> object:
    held[0], metrics = compiled(held[0], batch)
    return jax.block_until_ready(metrics)

  return step, taken


def config_rows(
  name: str, arguments: argparse.Namespace
) -> Iterator[dict[str, Any]]:
  """Yields a row for each variant of a config."""
  own = compiler_options.of_step(jax.devices('cpu')[0])
  steps, compiling = {}, {}
  for variant, options in VARIANTS.items():
    used = {} if options is None else {**own, **options}
    # An option of another version ends the run: left out, it would be measured
    # as if it did nothing.
    steps[variant], compiling[variant] = make_step(
      name, arguments.batch_size, used, 'float32'
    )
  steps[BFLOAT16], compiling[BFLOAT16] = make_step(
    name, arguments.batch_size, own, 'bfloat16'
  )
  times = turns.processor_seconds(steps, arguments.rounds)
  median = {variant: statistics.median(t) for variant, t in times.items()}
  for variant in steps.keys() - {OURS}:
    yield rows.row(
      f'cpu_options/{name}/{variant}',
      ours=median[OURS],
      theirs=median[variant],
      unit='s of processor time a step',
      peer=variant,
      detail=f'batch {arguments.batch_size}, {arguments.rounds} turns, best '
      f'{min(times[OURS]):.3f} and {min(times[variant]):.3f} s; compiled in '
      f'{compiling[OURS]:.1f} and {compiling[variant]:.1f} s of processor time',
      lower_is_better=True,
    )


def main() -> int:
  """Parses the arguments and reports."""
  parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
  parser.add_argument('--configs', nargs='+', default=CONFIGS)
  parser.add_argument('--batch_size', type=int, default=64)
  parser.add_argument('--rounds', type=int, default=5)
  parser.add_argument('--out', help='file to write the rows to, JSON lines')
  arguments = parser.parse_args()
  found = (
    row for name in arguments.configs for row in config_rows(name, arguments)
  )
  return rows.report(found, arguments.out)


if __name__ == '__main__':
  sys.exit(main())
