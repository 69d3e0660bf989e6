"""Full-size encoders as StableHLO and ONNX: errors, sizes, seconds.

  python -m benchmarks.quality.exports --out page.md [ENCODER ...]

Random weights. Each program is written as `jaxssl export` writes it, read again
and compared with the encoder, on one row and on three. A row of the table is
printed when it is done; an encoder that cannot be converted has the reason.
"""

import argparse
from collections.abc import Callable
import functools
import pathlib
import tempfile
import time

import jax
import numpy as np

from jaxssl import models
from jaxssl.augment.preprocessing import usual
from jaxssl.errors import UserError
from jaxssl.weights import exported, onnx_file, stablehlo
from jaxssl.weights.exported import ExportedEncoder

# One of each kind that the tables of encoders have, at its usual size.
_ENCODERS = {
  'vit_b16': 224,
  'dinov2_vit_s14': 224,
  'dinov3_vit_s16': 224,
  'siglip_vit_b16': 224,
  'clip_vit_b32': 224,
  'resnet50': 224,
  'convnext_t': 224,
  'convnextv2_t': 224,
  'clip_resnet50': 224,
  'dvae': 112,
}
_Save = Callable[[pathlib.Path, ExportedEncoder], float]
_FORMATS: dict[str, _Save] = {
  'StableHLO': stablehlo.save,
  'ONNX': onnx_file.save,
}


def encoder(name: str, size: int) -> ExportedEncoder:
  """Returns an encoder whose weights are random at a scale that is tame."""
  rng = np.random.default_rng(0)

  def draw(path: tuple[jax.tree_util.DictKey, ...], leaf: jax.Array) -> object:
    noise = rng.standard_normal(leaf.shape, np.float32)
    kind = path[-1].key
    if kind == 'kernel':
      return noise / np.float32(np.prod(leaf.shape[:-1]) ** 0.5)
    return (kind in ('scale', 'var')) + np.float32(0.05) * noise

  module = models.make_encoder(name)
  shapes = exported.abstract_variables(module, size)
  return ExportedEncoder(
    section={'name': name},
    variables=jax.tree_util.tree_map_with_path(draw, shapes),
    preprocessing=usual(size),
    step=0,
    config_hash='random',
  )


def row(name: str, size: int, kind: str) -> str:
  """Returns a row of the table."""
  start = time.perf_counter()
  with tempfile.TemporaryDirectory() as folder:
    out = pathlib.Path(folder) / 'out'
    try:
      error = f'{_FORMATS[kind](out, encoder(name, size)):.1e}'
    except UserError as problem:
      error = str(problem)
    megabytes = sum(file.stat().st_size for file in out.iterdir()) / 1e6
  seconds = time.perf_counter() - start
  return (
    f'| {name} | {size} | {kind} | {error} | {megabytes:.0f} | {seconds:.0f} |'
  )


def main() -> None:
  """Prints and writes the table."""
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('encoders', nargs='*', default=list(_ENCODERS))
  parser.add_argument('--out', type=pathlib.Path)
  arguments = parser.parse_args()
  say = functools.partial(print, flush=True)
  lines = ['| encoder | pixels | format | error | MB | seconds |']
  lines += ['|---|---|---|---|---|---|']
  for name in arguments.encoders:
    for kind in _FORMATS:
      lines.append(row(name, _ENCODERS.get(name, 224), kind))
      say(lines[-1])
  if arguments.out:
    arguments.out.write_text('\n'.join(lines) + '\n')


if __name__ == '__main__':
  main()
