"""Compiles the step of a config for one GPU that is not there.

Run by `moved.py` with the package of a commit on the path, which may know
nothing of GPUs: all it needs of it is `planning.abstract`.

  python compiled_step.py SPEC.json   # writes what it says into SPEC['out']
"""

import json
import os
import pathlib
import sys

os.environ['JAX_PLATFORMS'] = 'cpu'

import jax
from jax.experimental import topologies
from jax.sharding import SingleDeviceSharding

from jaxssl import build
from jaxssl import config as config_lib
from jaxssl.planning import abstract


def _placed(tree, sharding):
  return jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree
  )


def main() -> None:
  """Compiles; writes the text of the program and its memory."""
  spec = json.loads(pathlib.Path(sys.argv[1]).read_text())
  config = build.complete(config_lib.load_file(spec['config']))
  changes = config_lib.parse_overrides(spec['overrides'])
  config = config_lib.apply_overrides(config, changes)
  plan = abstract.plan(
    config, batch_size=spec['batch_size'], num_examples=1_281_167
  )
  device = topologies.get_topology_desc(
    platform='cuda', target_config=spec['target'], topology='1x1x1'
  ).devices[0]
  arguments = _placed((plan.state, plan.batch), SingleDeviceSharding(device))
  lowered = jax.jit(plan.step, donate_argnums=0).lower(*arguments)
  compiled = lowered.compile(compiler_options=spec['options'])
  out = pathlib.Path(spec['out'])
  memory = compiled.memory_analysis().temp_size_in_bytes
  out.with_suffix('.json').write_text(json.dumps({'temporary': memory}))
  out.write_text(compiled.as_text())


if __name__ == '__main__':
  main()
