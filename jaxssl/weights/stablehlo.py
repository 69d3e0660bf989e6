"""An encoder as StableHLO, for whoever has JAX and nothing else of ours.

The folder is that of `weights.exported`, and holds the program beside it:
`encoder.stablehlo`, written by `jax.export`. It takes the tensors of
`encoder.safetensors` by name, and pixels. The weights are not in the program,
which cannot hold more than 2 GiB.
"""

import functools
import pathlib
from typing import Any

from flax import traverse_util
import jax
from jax import export
import jax.numpy as jnp
import numpy as np

from jaxssl import atomic_file
from jaxssl.weights import program, safetensors_file
from jaxssl.weights.exported import WEIGHTS, ExportedEncoder, save_encoder

FILE = 'encoder.stablehlo'
# What the one file can be compiled for.
PLATFORMS = ('cpu', 'cuda', 'tpu')


def save(out: pathlib.Path, exported: ExportedEncoder) -> float:
  """Writes the program, its weights, and how pictures are prepared.

  Then it reads both files, as others do, and compares on this machine.

  Args:
    out: the folder.
    exported: the encoder.

  Returns:
    The largest difference of the features over the largest of them.

  Raises:
    UserError: if the files cannot be written, or give other features.
  """
  save_encoder(out, exported)
  program.write_preprocessing(out, exported)
  content = _lower(exported)
  atomic_file.write(out / FILE, lambda file: file.write(content))
  written = export.deserialize(bytearray((out / FILE).read_bytes()))
  weights = safetensors_file.read(out / WEIGHTS)
  run: Any = functools.partial(jax.jit(written.call), weights)
  return program.require_equal(exported, run)


def _lower(exported: ExportedEncoder) -> bytes:
  """Returns the program for all platforms and any number of pictures."""
  run = program.of(exported)

  def call(weights: dict[str, jax.Array], pixels: jax.Array) -> program.Outputs:
    return run(traverse_util.unflatten_dict(weights, sep='.'), pixels)

  flat: dict[str, Any] = traverse_util.flatten_dict(exported.variables, sep='.')
  weights = {
    name: jax.ShapeDtypeStruct(np.shape(leaf), jnp.asarray(leaf).dtype)
    for name, leaf in flat.items()
  }
  (batch,) = export.symbolic_shape('batch')
  shape = program.shape_of(exported, batch)
  pixels = jax.ShapeDtypeStruct(shape, program.dtype_of(exported))
  lower = export.export(jax.jit(call), platforms=PLATFORMS)
  return bytes(lower(weights, pixels).serialize())
