"""Memory of a device when devices share one state, and when each has its own.

The training step of MAE (AdamW, bfloat16 computation, each block recomputed)
is compiled, never run; the compiler says what it needs of a device.

  python -m benchmarks.speed.sharding --encoders vit_l16 --devices 8
  python -m benchmarks.speed.sharding --topology v5e:4x4 --out rows.jsonl
  python -m benchmarks.speed.sharding --state_only

With `--devices` it is compiled for so many devices of the CPU, which computes
bfloat16 in float32; with `--topology` for a TPU slice, which takes minutes a
row. `ours` is a state shared by all devices, `theirs` a whole one on each.
"""

import argparse
from collections.abc import Iterator
import json
from typing import Any

import jax

from benchmarks.report import rows
from jaxssl.config import schema
from jaxssl.planning import abstract, compiled, tpu
from jaxssl.planning.target import Target

ENCODERS = ('vit_l16', 'vit_h14', 'vit_g14')
GIB = 2**30


def make_plan(encoder: str, batch_size: int, fsdp: int | None) -> abstract.Plan:
  """Returns the step of MAE with that encoder."""
  config = schema.complete(
    {
      'method': {'name': 'mae'},
      'encoder': {
        'name': encoder,
        'position': 'sincos_mae',
        'dtype': 'bfloat16',
        'remat': True,
      },
      'augment': {'name': 'mae', 'size': 224},
      'data': {'name': 'imagenet2012'},
      'input': {'crop': 'host', 'image_size': 224},
      'optim': {
        'name': 'adamw',
        'learning_rate': 1e-4,
        'weight_decay': 0.05,
        'exclude': 'ndim<=1',
      },
      'train': {'steps': 1, 'batch_size': batch_size, 'fsdp': fsdp},
    }
  )
  return abstract.plan(config, num_examples=1_281_167)


def state_row(encoder: str, batch_size: int, count: int) -> dict[str, Any]:
  """Counts the bytes of the state; compiles nothing."""
  shared, whole = (
    compiled.state_bytes(make_plan(encoder, batch_size, fsdp), count) / GIB
    for fsdp in (None, 1)
  )
  return _row(f'state/{encoder}/{count}', shared, whole, f'batch {batch_size}')


def step_row(encoder: str, batch_size: int, target: Target) -> dict[str, Any]:
  """Compiles the step both ways."""
  shared, whole = (
    compiled.compile_step(make_plan(encoder, batch_size, fsdp), target)
    for fsdp in (None, 1)
  )
  parts = {
    name: {kind: round(size / GIB, 3) for kind, size in report.memory.items()}
    for name, report in (('shared', shared), ('whole', whole))
  }
  return _row(
    f'step/{encoder}/{target.num_chips}',
    shared.needed / GIB,
    whole.needed / GIB,
    f'batch {batch_size}; {json.dumps(parts)}',
  )


def _row(name: str, shared: float, whole: float, detail: str) -> dict[str, Any]:
  return rows.row(
    f'sharding/{name}',
    ours=shared,
    theirs=whole,
    unit='GiB of a device',
    peer='a whole state on each device',
    detail=detail,
    lower_is_better=True,
  )


def _rows(arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
  for encoder in arguments.encoders:
    if arguments.state_only:
      for count in (8, 16):
        yield state_row(encoder, arguments.batch_size, count)
      continue
    target = Target(name='cpu', devices=tuple(jax.devices()))
    if arguments.topology:
      target = tpu.slice_of(arguments.topology)
    yield step_row(encoder, arguments.batch_size, target)


def main() -> None:
  """Parses the arguments and reports."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--encoders', nargs='+', default=ENCODERS)
  parser.add_argument('--batch_size', type=int, default=1024)
  parser.add_argument('--devices', type=int, default=8)
  parser.add_argument('--topology')
  parser.add_argument('--state_only', action='store_true')
  parser.add_argument('--out')
  arguments = parser.parse_args()
  jax.config.update('jax_num_cpu_devices', arguments.devices)
  rows.report(_rows(arguments), arguments.out)


if __name__ == '__main__':
  main()
