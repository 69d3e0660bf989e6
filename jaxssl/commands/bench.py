"""`jaxssl bench`: is the input the bottleneck, or the step, and what then."""

import argparse
from collections.abc import Sequence
import dataclasses
import json
import os
import pathlib
from typing import Any

import jax
from rich.console import Console
from rich.table import Table

from jaxssl import atomic_file
from jaxssl.arguments import configs, targets
from jaxssl.build import Run, build
from jaxssl.data.stored import mean_size
from jaxssl.errors import UserError
from jaxssl.job import check_shapes, make_job
from jaxssl.planning import resizing, speed
from jaxssl.planning.advice import (
  Measured,
  Setting,
  advice,
  bottleneck,
  verdict,
)

WHAT = ('input', 'step', 'both')


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the arguments of the command."""
  parser.add_argument('what', choices=WHAT, help='what to measure')
  configs.add_arguments(
    parser,
    examples=(
      'jaxssl bench both --config quickstart',
      'jaxssl bench input --method simclr --data FOLDER --batch_size 512',
    ),
  )
  parser.usage = f'{parser.usage} WHAT'
  parser.add_argument(
    '--seconds',
    type=float,
    default=10,
    help='of each measurement, after its warm-up; default: 10',
  )
  parser.add_argument('--out', help='JSON file for the figures')


def run(arguments: argparse.Namespace, overrides: Sequence[str]) -> int:
  """Prints a table, the bottleneck and what to change."""
  out = arguments.out and pathlib.Path(arguments.out)
  if out:
    targets.check_file(out, suffix='.json')
  if not arguments.seconds > 0:
    raise UserError(f'--seconds is {arguments.seconds}; it must be positive')
  configs.choose_device(arguments)
  run_ = build(configs.resolve(arguments, overrides))
  if arguments.what != 'input':
    check_shapes(run_)  # before minutes of measuring the input
  setting = _setting(run_)
  measured = _measured(arguments.what, run_, setting, arguments.seconds)
  changes = advice(measured, setting)
  _print(measured, setting)
  print(verdict(measured, setting))
  for number, change in enumerate(changes, 1):
    print(f'{number}. {change}')
  if out:
    found = {
      'setting': dataclasses.asdict(setting),
      **dataclasses.asdict(measured),
      'bottleneck': bottleneck(measured, setting),
      'advice': changes,
    }
    atomic_file.write_text(out, json.dumps(found, indent=2) + '\n')
  return 0


def _setting(run_: Run) -> Setting:
  cores = len(os.sched_getaffinity(0))
  encoder, devices = run_.config['encoder'], jax.devices()
  stored = mean_size(run_.source)
  return Setting(
    batch_size=run_.train.batch_size,
    platform=devices[0].platform,
    num_devices=run_.train.num_devices or len(devices),
    num_cores=cores,
    num_threads=run_.input.num_threads or cores,
    prefetch=run_.input.prefetch,
    crop=run_.input.crop,
    views=tuple(spec.size for spec in run_.augment.crops),
    image_size=run_.input.image_size,
    stored=stored,
    dtype=encoder['dtype'],
    remat=bool(encoder.get('remat')),
    resize_seconds=_resize_seconds(run_, stored),
  )


def _resize_seconds(
  run_: Run, stored: tuple[float, float] | None
) -> float | None:
  host = run_.input.crop == 'host' and run_.input.resizer == 'pillow'
  # Other resizers are for 8-bit RGB.
  if not host or stored is None or run_.input.bands is not None:
    return None
  return resizing.seconds_a_picture(run_.augment.crops, stored)


def _measured(
  what: str, run_: Run, setting: Setting, seconds: float
) -> Measured:
  job = make_job(run_, dry=True)
  found: dict[str, Any] = {}
  if what != 'step':
    found['input'] = speed.input_speed(
      job, prefetch=setting.prefetch, seconds=seconds
    )
  if what == 'input':
    return Measured(**found)
  stepper = speed.Stepper(job)
  found['step'] = speed.step_speed(
    stepper, num_devices=setting.num_devices, seconds=seconds
  )
  if what == 'both':
    found['loop'] = speed.loop_speed(stepper, seconds=seconds)
  return Measured(**found)


def _print(measured: Measured, setting: Setting) -> None:
  table = Table('', 'images/s', 'range', 'ms a batch', 'cores', 'input wait')

  def add(name: str, rate: speed.Rate | None, rows: int) -> None:
    if rate is not None:
      table.add_row(
        name,
        f'{rate.images_per_second:,.4g}',
        f'{rate.lowest:,.4g} to {rate.highest:,.4g}',
        f'{1000 * rows / rate.images_per_second:,.4g}',
        f'{rate.cores:.2f} of {setting.num_cores}',
        f'{rate.wait:.0%}' if name == 'both' else '',
      )

  rows, step = setting.batch_size, measured.step
  add('input', measured.input, rows)
  add('step', step and step.rate, rows)
  add('step, half the batch', step and step.half, rows // 2)
  add('both', measured.loop, rows)
  Console().print(table)
  if step:
    print(
      f'copy of a batch to the device: {1000 * step.copy_seconds:.3g} ms, '
      f'{step.batch_bytes / 2**20:.3g} MiB; first step with compilation: '
      f'{step.first_seconds:.1f} s'
    )
