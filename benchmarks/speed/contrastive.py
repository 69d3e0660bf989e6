"""Memory and time of contrastive losses: whole matrix against blocks.

  python -m benchmarks.speed.contrastive memory --out rows.jsonl
  python -m benchmarks.speed.contrastive time --out rows.jsonl

`memory` compiles loss and gradient for 8 devices and asks the compiler how many
bytes of scratch each of them needs; nothing of that size is allocated. `time`
runs small batches on one device and counts processor time. One JSON object a
row: `ours` is the loss in blocks, `theirs` the whole matrix.
"""

import argparse
import functools
import json
import pathlib
import time

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding
import numpy as np

from jaxssl.ops import contrastive
from jaxssl.parallel import modes

DIM, DEVICES = 512, 8
MEGABYTE = 2**20


def clip(x, y, **options):
  return contrastive.clip(x, y, scale=jnp.asarray(14.3), **options)[0]


def sigmoid(x, y, **options):
  scale, bias = jnp.asarray(10.0), jnp.asarray(-10.0)
  return contrastive.sigmoid(x, y, scale=scale, bias=bias, **options)[0]


LOSSES = {'clip': clip, 'sigmoid': sigmoid}


def value_and_grad(name, chunk, axis_name=None):
  loss = functools.partial(LOSSES[name], chunk=chunk, axis_name=axis_name)
  return jax.value_and_grad(loss, argnums=(0, 1))


def scratch(name, batch, chunk, mode):
  """Returns megabytes of scratch memory of one of the devices."""
  if mode == 'jit':
    mesh = modes.make_mesh()
    sharding = NamedSharding(mesh, modes.ROWS)
    z = jax.ShapeDtypeStruct((batch, DIM), jnp.float32, sharding=sharding)

    def in_a_step(x, y):
      # As `modes.Jit.compile` traces a step.
      with jax.sharding.use_abstract_mesh(mesh.abstract_mesh):
        return value_and_grad(name, chunk)(x, y)

    compiled = jax.jit(in_a_step).lower(z, z).compile()
  else:
    z = jax.ShapeDtypeStruct((DEVICES, batch // DEVICES, DIM), jnp.float32)
    fn = jax.pmap(value_and_grad(name, chunk, 'd'), axis_name='d')
    compiled = fn.lower(z, z).compile()
  return compiled.memory_analysis().temp_size_in_bytes / MEGABYTE


def seconds(fn, *arguments, repeats=5):
  """Returns the least processor time of several calls, after compilation.

  Not the wall clock's, which other work on the machine would stretch.
  """
  jax.block_until_ready(fn(*arguments))
  times = []
  for _ in range(repeats):
    start = time.process_time()
    jax.block_until_ready(fn(*arguments))
    times.append(time.process_time() - start)
  return min(times)


def memory_rows(arguments):
  for name in LOSSES:
    for batch in arguments.batches or (4096, 8192, 16384, 32768, 65536):
      for mode in ('pmap', 'jit'):
        ours = scratch(name, batch, arguments.chunk, mode)
        theirs = scratch(name, batch, None, mode)
        yield row(f'{name} {batch} {mode}', ours, theirs, 'MB a device')


def time_rows(arguments):
  for name in LOSSES:
    for batch in arguments.batches or (512, 1024, 2048, 4096):
      rng = np.random.default_rng(0)
      x, y = (rng.standard_normal((batch, DIM), np.float32) for _ in range(2))
      ours = seconds(jax.jit(value_and_grad(name, arguments.chunk)), x, y)
      theirs = seconds(jax.jit(value_and_grad(name, None)), x, y)
      yield row(f'{name} {batch}', 1e3 * ours, 1e3 * theirs, 'ms of CPU')


def row(name, ours, theirs, unit):
  return {
    'name': name,
    'ours': round(ours, 2),
    'theirs': round(theirs, 2),
    'unit': unit,
    'ratio': round(theirs / ours, 2),
    'peer': 'whole matrix',
  }


def main(arguments):
  rows = {'memory': memory_rows, 'time': time_rows}[arguments.what]
  for result in rows(arguments):
    print(json.dumps(result), flush=True)
    if arguments.out:
      with arguments.out.open('a') as file:
        file.write(json.dumps(result) + '\n')


if __name__ == '__main__':
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('what', choices=('memory', 'time'))
  parser.add_argument('--chunk', type=int, default=512)
  parser.add_argument('--batches', type=int, nargs='*')
  parser.add_argument('--out', type=pathlib.Path, help='file to append rows to')
  jax.config.update('jax_num_cpu_devices', DEVICES)
  main(parser.parse_args())
