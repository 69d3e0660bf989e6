"""Times one SimCLR training step of PyTorch in this process.

  python -m benchmarks.speed.step_torch resnet18_32 --variant channels_last

Prints one JSON object; `benchmarks.speed.step` runs it beside the step of
jaxssl.
"""

import argparse
from collections.abc import Callable, Iterable
import json
import time
from typing import Any

import torch

from benchmarks.peers import torch_simclr, workloads
from benchmarks.peers.workloads import Workload
from benchmarks.speed.step_jaxssl import (
  DECAY,
  LEARNING_RATE,
  TEMPERATURE,
  make_batch,
)

VARIANTS = ('eager', 'channels_last', 'compile')


def make_optimizer(
  name: str, parameters: Iterable[torch.nn.Parameter]
) -> torch.optim.Optimizer:
  """Returns the optimizer in its fastest implementation."""
  options = {'lr': LEARNING_RATE, 'weight_decay': DECAY[name], 'fused': True}
  if name == 'sgd':
    return torch.optim.SGD(parameters, momentum=0.9, **options)
  return torch.optim.AdamW(parameters, **options)


def make_step(
  work: Workload, variant: str
) -> tuple[Callable[[], torch.Tensor], int]:
  """Returns a step, and the number of parameters that it trains."""
  net = torch_simclr.network(work)
  views = torch.cat(
    [torch_simclr.to_torch(v) for v in make_batch(work)['views']]
  )
  # Best for convolutions, compiled or not; transformers have no channels.
  if variant == 'channels_last' or (
    variant == 'compile' and work.encoder.startswith('resnet')
  ):
    net = net.to(memory_format=torch.channels_last)
    views = views.contiguous(memory_format=torch.channels_last)
  trained = [p for p in net.parameters() if p.requires_grad]
  optimizer = make_optimizer(work.optimizer, trained)

  def loss_fn(images):
    return torch_simclr.nt_xent(net(images), TEMPERATURE)

  if variant == 'compile':
    loss_fn = torch.compile(loss_fn)

  def step() -> torch.Tensor:
    optimizer.zero_grad(set_to_none=True)
    loss = loss_fn(views)
    loss.backward()
    optimizer.step()
    return loss

  return step, torch_simclr.num_parameters(net)


def seconds_a_step(work: Workload, steps: int, variant: str) -> dict[str, Any]:
  """Warms up and times each of `steps` steps."""
  step, parameters = make_step(work, variant)
  return {**time_steps(step, steps), 'parameters': parameters}


def time_steps(
  step: Callable[[], torch.Tensor], steps: int, *, warm_up: int = 1
) -> dict[str, Any]:
  """Times each of `steps` steps until the device has finished it.

  Args:
    step: changes a network; returns the loss.
    steps: that are timed.
    warm_up: steps before them; the first compiles.
  """
  seconds, cpu_seconds = [], []
  for number in range(warm_up + steps):
    if number == warm_up and torch.cuda.is_available():
      torch.cuda.reset_peak_memory_stats()
    start, cpu_start = time.perf_counter(), time.process_time()
    loss = step()
    if torch.cuda.is_available():
      torch.cuda.synchronize()
    seconds.append(time.perf_counter() - start)
    cpu_seconds.append(time.process_time() - cpu_start)
  return {
    'seconds': seconds[warm_up:],
    'cpu_seconds': cpu_seconds[warm_up:],
    'compile_seconds': seconds[0],
    'loss': loss.item(),
    'peak_bytes': peak_bytes(),
  }


def peak_bytes() -> int | None:
  """Returns the most memory that tensors had; None where nobody counts."""
  if not torch.cuda.is_available():
    return None
  return torch.cuda.max_memory_allocated()


def matmul_rate(size: int = 2048, repeats: int = 5) -> float:
  """Returns the best GFLOP/s of float32 products of square matrices."""
  x = torch.ones(size, size)
  torch.mm(x, x)
  best = float('inf')
  for _ in range(repeats):
    start = time.perf_counter()
    torch.mm(x, x)
    best = min(best, time.perf_counter() - start)
  return 2 * size**3 / best / 1e9


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('workload', choices=workloads.CPU)
  parser.add_argument('--variant', choices=VARIANTS, default='eager')
  parser.add_argument('--steps', type=int, default=4)
  args = parser.parse_args()
  result = seconds_a_step(
    workloads.CPU[args.workload], args.steps, args.variant
  )
  result['matmul_gflops'] = matmul_rate()
  print(json.dumps(result))


if __name__ == '__main__':
  main()
