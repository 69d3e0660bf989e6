"""Times one training step of jaxssl in this process.

  python -m benchmarks.speed.step_jaxssl resnet18_32 --steps 4

Prints one JSON object; `benchmarks.speed.step` runs it beside the PyTorch step.
"""

import argparse
import json
import time
from typing import Any

import jax
from jax.extend import core
import jax.numpy as jnp
import numpy as np

from benchmarks.peers import workloads
from benchmarks.peers.workloads import Workload
from jaxssl import build, models
from jaxssl.methods.base import Method
from jaxssl.ops import schedules
from jaxssl.parallel import modes
from jaxssl.train import optim
from jaxssl.train.learner import Learner
from jaxssl.train.state import num_parameters

TEMPERATURE = 0.5
LEARNING_RATE = 1e-3
DECAY = {'sgd': 1e-4, 'adamw': 0.05}


def make_method(work: Workload, dtype: str = 'float32') -> Method:
  """Returns SimCLR with the head of version 1."""
  return build.build_method(
    {
      'method': {'name': 'simclr', 'temperature': TEMPERATURE},
      'encoder': {'name': work.encoder, 'dtype': dtype, **work.options},
      'head': {'name': 'simclr', 'num_layers': 2},
      'text_encoder': {},
    }
  )


def keep_views(key, batch, axis_name):
  """The augmentation of a benchmark of the step: the views are there."""
  del key, axis_name
  return batch


def make_batch(work: Workload) -> dict[str, Any]:
  """Returns two views of noise."""
  draws = np.random.default_rng(0)
  shape = (work.batch, work.size, work.size, 3)
  views = tuple(draws.standard_normal(shape, np.float32) for _ in range(2))
  return {'views': views}


def make_learner(method: Method, optimizer: str) -> Learner:
  """Returns what trains the method on batches that are views already."""
  tx = optim.make_optimizer(
    name=optimizer,
    learning_rate=schedules.constant(start=LEARNING_RATE),
    weight_decay=DECAY[optimizer],
  )
  return Learner(method=method, augment=keep_views, tx=tx)


def seconds_a_step(
  learner: Learner, batch: dict[str, Any], steps: int, *, warm_up: int = 1
) -> dict[str, Any]:
  """Compiles, warms up and times each of `steps` steps.

  Args:
    learner: of `make_learner`.
    batch: with `views`, on the host.
    steps: that are timed.
    warm_up: steps before them.
  """
  mode = modes.make_mode('jit', num_devices=1)
  batch = mode.put_batch(batch)
  state = mode.init(learner.init, jax.random.key(0), batch)
  parameters = num_parameters(state.params)
  start = time.perf_counter()
  step = mode.compile(learner.step)
  step = step.lower(state, batch).compile()
  compile_seconds = time.perf_counter() - start
  for _ in range(warm_up):
    state, _ = jax.block_until_ready(step(state, batch))
  seconds, cpu_seconds = [], []
  for _ in range(steps):
    start, cpu_start = time.perf_counter(), time.process_time()
    state, metrics = jax.block_until_ready(step(state, batch))
    seconds.append(time.perf_counter() - start)
    cpu_seconds.append(time.process_time() - cpu_start)
  return {
    'seconds': seconds,
    'cpu_seconds': cpu_seconds,
    'compile_seconds': compile_seconds,
    'parameters': parameters,
    'loss': float(metrics['loss']),
    'peak_bytes': peak_bytes(),
  }


def peak_bytes() -> int | None:
  """Returns the most memory that arrays had; None where nobody counts."""
  stats = jax.devices()[0].memory_stats() or {}
  return stats.get('peak_bytes_in_use')


def forward_flops(work: Workload) -> int:
  """Returns the operations of one forward pass of one image.

  Products and convolutions are read off the traced computation, two operations
  a multiplication with addition. What a compiler makes of it (recomputation,
  fused attention) does not change the count.
  """
  encoder = models.make_encoder(work.encoder, **work.options)
  images = jnp.zeros((1, work.size, work.size, 3))
  variables = jax.eval_shape(encoder.init, jax.random.key(0), images)
  jaxpr = jax.make_jaxpr(lambda v, x: encoder.apply(v, x)[0])(variables, images)
  return _count(jaxpr.jaxpr)


def _count(jaxpr) -> int:
  total = 0
  for equation in jaxpr.eqns:
    name, out = equation.primitive.name, equation.outvars[0].aval
    if name == 'dot_general':
      contracted, _ = equation.params['dimension_numbers'][0]
      shape = equation.invars[0].aval.shape
      total += 2 * out.size * int(np.prod([shape[i] for i in contracted]))
    elif name == 'conv_general_dilated':
      layout = equation.params['dimension_numbers'].rhs_spec
      kernel = equation.invars[1].aval
      total += 2 * out.size * (kernel.size // kernel.shape[layout[0]])
    for inner in core.jaxprs_in_params(equation.params):
      total += _count(inner)
  return total


def matmul_rate(size: int = 2048, repeats: int = 5) -> float:
  """Returns the best GFLOP/s of float32 products of square matrices."""
  x = jnp.ones((size, size))
  product = jax.jit(jnp.matmul)
  jax.block_until_ready(product(x, x))
  best = float('inf')
  for _ in range(repeats):
    start = time.perf_counter()
    jax.block_until_ready(product(x, x))
    best = min(best, time.perf_counter() - start)
  return 2 * size**3 / best / 1e9


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('workload', choices=(*workloads.CPU, *workloads.GPU))
  parser.add_argument('--steps', type=int, default=4)
  parser.add_argument('--dtype', default='float32')
  args = parser.parse_args()
  work = (workloads.CPU | workloads.GPU)[args.workload]
  learner = make_learner(make_method(work, args.dtype), work.optimizer)
  result = seconds_a_step(learner, make_batch(work), args.steps)
  # Forward, and two products as large for each in the backward pass.
  result['flops'] = 3 * forward_flops(work) * 2 * work.batch
  result['matmul_gflops'] = matmul_rate()
  result['device'] = jax.devices()[0].device_kind
  print(json.dumps(result))


if __name__ == '__main__':
  main()
