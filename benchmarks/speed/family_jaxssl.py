"""Times one training step of a family in jaxssl, in this process.

  python -m benchmarks.speed.family_jaxssl dino --device cpu --steps 4

Prints one JSON object; `benchmarks.speed.gpu_step` runs it beside PyTorch's
step.
"""

import argparse
import json
from typing import Any

import jax
import numpy as np

from benchmarks.speed import families, step_jaxssl
from benchmarks.speed.families import Family
from jaxssl import build
from jaxssl.methods.base import Method
from jaxssl.planning.flops import matmul_flops


def make_method(family: Family, dtype: str) -> Method:
  """Returns the method, with every network in one type."""
  name, work = family.method, family.work
  position = {'position': 'sincos_mae'} if name == 'mae' else {}
  head = {'name': name, 'dtype': np.dtype(dtype), **family.head}
  text = {'name': 'clip_512', **family.text}
  return build.build_method(
    {
      'method': {'name': name, **family.settings},
      'encoder': {
        'name': work.encoder,
        'dtype': dtype,
        **work.options,
        **position,
      },
      'head': head if family.head else {},
      'text_encoder': text if family.text else {},
    }
  )


def make_batch(family: Family) -> dict[str, Any]:
  """Returns views of noise, and texts of random tokens for CLIP."""
  draws, rows = np.random.default_rng(0), family.work.batch
  batch = {
    'views': tuple(
      draws.standard_normal((rows, side, side, 3), np.float32)
      for side in family.views
    )
  }
  if family.text:
    shape = (rows, family.text['length'])
    tokens = draws.integers(0, family.text['vocab_size'], shape, np.int32)
    batch['text'] = tokens
  return batch


def step_flops(family: Family) -> float:
  """Returns products and convolutions of a step, backward pass included.

  Counted in float32, in which attention is products that the trace shows;
  cuDNN's fused kernel would hide them.
  """
  method = make_method(family, 'float32')
  learner = step_jaxssl.make_learner(method, family.work.optimizer)
  batch = jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), make_batch(family)
  )
  return matmul_flops(learner.step, learner.abstract(batch), batch)


def run(
  family: Family, *, steps: int, warm_up: int, dtype: str
) -> dict[str, Any]:
  """Returns what was measured."""
  method = make_method(family, dtype)
  return {
    **step_jaxssl.seconds_a_step(
      step_jaxssl.make_learner(method, family.work.optimizer),
      make_batch(family),
      steps,
      warm_up=warm_up,
    ),
    'flops': step_flops(family),
    'device': jax.devices()[0].device_kind,
  }


def parse() -> argparse.Namespace:
  """Returns the arguments of a worker, the same on both sides."""
  parser = argparse.ArgumentParser()
  parser.add_argument('family', choices=families.GPU)
  parser.add_argument('--device', choices=families.TABLES, default='gpu')
  parser.add_argument('--batch_size', type=int)
  parser.add_argument('--steps', type=int, default=20)
  parser.add_argument('--warm_up', type=int, default=3)
  parser.add_argument('--dtype', default='bfloat16')
  args = parser.parse_args()
  family = families.TABLES[args.device][args.family]
  args.family = family.with_batch(args.batch_size)
  return args


def main() -> None:
  args = parse()
  result = run(
    args.family, steps=args.steps, warm_up=args.warm_up, dtype=args.dtype
  )
  print(json.dumps(result))


if __name__ == '__main__':
  main()
