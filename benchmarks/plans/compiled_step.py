"""Compiles the step of a config for one chip that is not there.

Run by `moved.py` with the tree of a commit on the path, which may know nothing
of accelerators: all it needs of it is how `jaxssl plan` reads a config, its
shapes (`planning.abstract`), and a tokenizer for BEiT.

  python compiled_step.py SPEC.json   # writes what it says into SPEC['out']
"""

import argparse
import json
import os
import pathlib
import sys

os.environ['JAX_PLATFORMS'] = 'cpu'

import jax
from jax.experimental import topologies
from jax.sharding import SingleDeviceSharding

from jaxssl.planning import abstract
from tests import tiny_tokenizer

try:
  from jaxssl.arguments import configs
except ImportError:  # where commits before the room of arguments have it
  from jaxssl.commands import configs


def _placed(tree, sharding):
  return jax.tree.map(
    lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree
  )


def _tokenizer() -> str:
  """Writes a discrete VAE as `dvae_imagenet` makes it, at random weights."""
  tiny_tokenizer.SECTION.clear()
  tiny_tokenizer.SECTION.update(name='dvae', vocab_size=8192, dtype='bfloat16')
  return tiny_tokenizer.tiny_tokenizer()


def main() -> None:
  """Compiles; writes the text of the program and its memory."""
  spec = json.loads(pathlib.Path(sys.argv[1]).read_text())
  parser = argparse.ArgumentParser()
  configs.add_arguments(parser)
  arguments = parser.parse_args(['--config', spec['config']])
  overrides = spec['overrides']
  if 'beit' in spec['config']:
    overrides.append(f'--config.method.tokenizer={_tokenizer()}')
  config = configs.resolve(arguments, overrides)
  plan = abstract.plan(
    config, batch_size=spec['batch_size'], num_examples=1_281_167
  )
  device = topologies.get_topology_desc(**spec['chips']).devices[0]
  arguments = _placed((plan.state, plan.batch), SingleDeviceSharding(device))
  lowered = jax.jit(plan.step, donate_argnums=0).lower(*arguments)
  compiled = lowered.compile(compiler_options=spec['options'])
  out = pathlib.Path(spec['out'])
  costs = compiled.cost_analysis() or {}  # None for a GPU
  said = {
    'temporary': compiled.memory_analysis().temp_size_in_bytes,
    'accessed': costs.get('bytes accessed'),
  }
  out.with_suffix('.json').write_text(json.dumps(said))
  out.write_text(compiled.as_text())


if __name__ == '__main__':
  main()
