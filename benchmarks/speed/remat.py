"""Memory and arithmetic of an encoder, by what its blocks compute again.

The gradient of an encoder's features is compiled for a TPU chip, never run:
scratch memory is what the compiler plans (`memory_analysis`), operations are
counted from the trace (matrix products and convolutions, forward and backward).
XLA's CPU compiler merges what is computed twice, so there nothing is saved.

  python -m benchmarks.speed.remat --out rows.jsonl
"""

import argparse
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import SingleDeviceSharding

from benchmarks.report import rows
from jaxssl import models
from jaxssl.planning import tpu
from jaxssl.planning.flops import matmul_flops

ENCODERS = ('vit_s16', 'vit_b16', 'resnet50')
SIDE = 224


def cost(
  name: str, remat: bool | str, batch_size: int, chip: Any
) -> tuple[float, float]:
  """Returns MiB of scratch memory of a chip, and operations."""
  encoder = models.make_encoder(name, remat=remat, dtype=jnp.bfloat16)
  images = jax.ShapeDtypeStruct((batch_size, SIDE, SIDE, 3), jnp.float32)
  variables = jax.eval_shape(encoder.init, jax.random.key(0), images)

  def loss(params, rest, images):
    (features, _), _ = encoder.apply(
      {**rest, 'params': params}, images, train=True, mutable=list(rest)
    )
    return jnp.square(features).mean()

  params = variables['params']
  rest = {name: tree for name, tree in variables.items() if name != 'params'}
  gradient, place = jax.grad(loss), SingleDeviceSharding(chip)
  program = jax.jit(gradient, in_shardings=place, out_shardings=place)
  memory = program.lower(params, rest, images).compile().memory_analysis()
  return (
    memory.temp_size_in_bytes / 2**20,
    matmul_flops(gradient, params, rest, images),
  )


def all_rows(arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
  """Yields a row for every encoder and policy."""
  chip = tpu.slice_of(arguments.topology).devices[0]
  for name in arguments.encoders:
    kept, plain = cost(name, False, arguments.batch_size, chip)
    for policy in ('dots', 'full'):
      memory, operations = cost(name, policy, arguments.batch_size, chip)
      yield rows.row(
        f'remat/{name}/{policy}',
        ours=memory,
        theirs=kept,
        unit='MiB of scratch memory',
        peer='all kept',
        detail=f'{arguments.batch_size} images of {SIDE} px, bfloat16; '
        f'{operations / plain:.3f} of the operations',
        lower_is_better=True,
      )


def main() -> None:
  """Parses the arguments and reports."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument(
    '--encoders', nargs='+', choices=ENCODERS, default=ENCODERS
  )
  parser.add_argument('--batch_size', type=int, default=32)
  parser.add_argument('--topology', default='v5e:2x2', help='kind of chip')
  parser.add_argument('--out', help='file to write the rows to, JSON lines')
  arguments = parser.parse_args()
  rows.report(all_rows(arguments), arguments.out)


if __name__ == '__main__':
  main()
