"""Times one SimCLR training step of PyTorch in this process.

  python -m benchmarks.step_torch resnet18_32 --variant channels_last

Prints one JSON object; `benchmarks.step` runs it beside the step of jaxssl.
"""

import argparse
import json
import time
from typing import Any

import torch

from benchmarks import torch_simclr, workloads
from benchmarks.step_jaxssl import (
  DECAY,
  LEARNING_RATE,
  TEMPERATURE,
  make_batch,
)
from benchmarks.workloads import Workload

VARIANTS = ('eager', 'channels_last', 'compile')


def make_optimizer(work: Workload, net) -> torch.optim.Optimizer:
  """Returns the optimizer in its fastest implementation on a CPU."""
  parameters = [p for p in net.parameters() if p.requires_grad]
  options = {
    'lr': LEARNING_RATE,
    'weight_decay': DECAY[work.optimizer],
    'fused': True,
  }
  if work.optimizer == 'sgd':
    return torch.optim.SGD(parameters, momentum=0.9, **options)
  return torch.optim.AdamW(parameters, **options)


def seconds_a_step(work: Workload, steps: int, variant: str) -> dict[str, Any]:
  """Warms up and times each of `steps` steps."""
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
  optimizer = make_optimizer(work, net)

  def loss_fn(images):
    return torch_simclr.nt_xent(net(images), TEMPERATURE)

  if variant == 'compile':
    loss_fn = torch.compile(loss_fn)

  def step() -> tuple[float, float]:
    start, cpu_start = time.perf_counter(), time.process_time()
    optimizer.zero_grad(set_to_none=True)
    loss = loss_fn(views)
    loss.backward()
    optimizer.step()
    step.loss = loss.item()
    return time.perf_counter() - start, time.process_time() - cpu_start

  warm_up, _ = step()
  seconds, cpu_seconds = zip(*(step() for _ in range(steps)), strict=True)
  return {
    'seconds': seconds,
    'cpu_seconds': cpu_seconds,
    'compile_seconds': warm_up,
    'parameters': torch_simclr.num_parameters(net),
    'loss': step.loss,
  }


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
