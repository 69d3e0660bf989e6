"""Bytes that a step moves on a chip: the working tree beside another commit.

Both are compiled for one H100 by XLA's own compiler, on a machine without one,
and counted alike off the text (`jaxssl.planning.kernels`), or for one TPU v5e,
whose compiler tells the bytes itself. Nothing runs. `ours` is the working tree,
`theirs` the commit; above 1 ours needs less.

  python -m benchmarks.plans.moved --commit 89e6906 --out rows.jsonl
  python -m benchmarks.plans.moved --recipes mae_b16 --depth 2 --chip v5e

With `--depth` the networks have so many layers and compile in a minute; else
as many as published. It needs `pip install "jaxssl[cuda]"` or
`"jaxssl[tpu]"`, no GPU and no TPU.
"""

import argparse
from collections.abc import Iterator
import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from typing import Any

from benchmarks.report import rows
from jaxssl.planning import chips, cuda, kernels, roofline

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHILD = pathlib.Path(__file__).with_name('compiled_step.py')
CARD = 'h100'
TPU = 'v5e'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
  """What is compiled.

  Attributes:
    config: name of a file in `configs/`.
    batch_size: images or pairs.
    overrides: of the config.
    depths: keys of the numbers of layers.
  """

  config: str
  batch_size: int
  overrides: tuple[str, ...] = ()
  depths: tuple[str, ...] = ('encoder.depth',)


RECIPES = {
  'mae_b16': Recipe(
    config='mae_vit_b16_imagenet',
    batch_size=256,
    depths=('encoder.depth', 'method.decoder_depth'),
  ),
  'dino_s16': Recipe(config='dino_vit_s16_imagenet', batch_size=64),
  'moco_v3_b16': Recipe(
    config='moco_v3_vit_s16_imagenet',
    batch_size=128,
    overrides=('encoder.name=vit_b16',),
  ),
  'clip_b32': Recipe(
    config='clip_vit_b32_tar',
    batch_size=1024,
    overrides=(
      'method.chunk=none',
      'encoder.remat=false',
      'text_encoder.remat=false',
      'text_encoder.vocab_size=49408',
    ),
    depths=('encoder.depth', 'text_encoder.depth'),
  ),
  'beit_b16': Recipe(config='beit_vit_b16_imagenet', batch_size=128),
  'simclr_r50': Recipe(
    config='simclr_resnet50_imagenet', batch_size=256, depths=()
  ),
}


@dataclasses.dataclass(frozen=True)
class Moved:
  """What was counted of a step; on a TPU only the first two.

  Attributes:
    gib: moved by all kernels, GiB.
    temporary: scratch memory, GiB.
    library: moved by those of cuBLAS and cuDNN.
    kernels: how many run.
    scatters: of them in the text; each adds atomically.
    ms: the roofline.
  """

  gib: float
  temporary: float
  library: float = 0.0
  kernels: int = 0
  scatters: int = 0
  ms: float = 0.0


def _chips(chip: str) -> dict[str, Any]:
  """Returns how JAX names chips that are not there."""
  if chip == CARD:
    config = cuda.description(CARD)
    return {'platform': 'cuda', 'target_config': config, 'topology': '1x1x1'}
  return {'platform': 'tpu', 'topology_name': f'{TPU}:2x2'}


def count(
  recipe: Recipe, tree: pathlib.Path, depth: int | None, chip: str
) -> Moved:
  """Compiles a recipe with the package in `tree` and counts."""
  overrides = list(recipe.overrides)
  overrides += [f'{key}={depth}' for key in recipe.depths if depth]
  with tempfile.TemporaryDirectory() as folder:
    spec, out = pathlib.Path(folder, 'spec.json'), pathlib.Path(folder, 'x.hlo')
    found = {
      'config': str(ROOT / 'configs' / f'{recipe.config}.py'),
      'overrides': [f'--config.{each}' for each in overrides],
      'batch_size': recipe.batch_size,
      'chips': _chips(chip),
      'options': cuda.OPTIONS if chip == CARD else {},
      'out': str(out),
    }
    spec.write_text(json.dumps(found))
    path = os.pathsep.join([str(tree), os.environ.get('PYTHONPATH', '')])
    # As `jaxssl.planning.tpu` sets them, which the other commit may not have.
    no_tpu = {'TPU_SKIP_MDS_QUERY': '1', 'ALLOW_MULTIPLE_LIBTPU_LOAD': '1'}
    subprocess.run(
      [sys.executable, str(CHILD), str(spec)],
      env={**os.environ, **no_tpu, 'PYTHONPATH': path},
      check=True,
    )
    said = json.loads(out.with_suffix('.json').read_text())
    if chip == TPU:
      temporary = said['temporary'] / 2**30
      return Moved(gib=said['accessed'] / 2**30, temporary=temporary)
    return _of_text(out.read_text(), said['temporary'])


def _of_text(text: str, temporary: int) -> Moved:
  found = kernels.kernels(text)
  bound = roofline.roofline(found, chips.GPUS[CARD])
  library = [each for each in found if each.kind.startswith('__cu')]
  return Moved(
    gib=bound.bytes / 2**30,
    library=sum(each.times * each.bytes for each in library) / 2**30,
    temporary=temporary / 2**30,
    kernels=bound.num_kernels,
    scatters=text.count(' scatter(') + text.count(' select-and-scatter('),
    ms=bound.seconds * 1e3,
  )


def all_rows(arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
  """Yields what is moved and what is kept, of every recipe."""
  with tempfile.TemporaryDirectory() as folder:
    theirs_tree = pathlib.Path(folder)
    archive = subprocess.run(
      ['git', 'archive', arguments.commit],
      cwd=ROOT,
      check=True,
      capture_output=True,
    )
    subprocess.run(
      ['tar', '-x'], cwd=theirs_tree, check=True, input=archive.stdout
    )
    for name in arguments.recipes:
      recipe = RECIPES[name]
      ours, theirs = (
        count(recipe, tree, arguments.depth, arguments.chip)
        for tree in (ROOT, theirs_tree)
      )
      yield from _rows(name, recipe, arguments, ours, theirs)


def _rows(
  name: str,
  recipe: Recipe,
  arguments: argparse.Namespace,
  ours: Moved,
  theirs: Moved,
) -> Iterator[dict[str, Any]]:
  layers = f'depth {arguments.depth}' if arguments.depth else 'whole'
  detail = f'one {arguments.chip}, batch {recipe.batch_size}, {layers}'
  if arguments.chip == CARD:
    detail += (
      f'; roofline {ours.ms:.1f} against {theirs.ms:.1f} ms, {ours.kernels} '
      f'against {theirs.kernels} kernels, {ours.scatters} against '
      f'{theirs.scatters} scatters; {ours.library:.1f} against '
      f'{theirs.library:.1f} GiB by cuBLAS and cuDNN'
    )
  for what in ('gib', 'temporary'):
    yield rows.row(
      f'moved/{name}/{what}',
      ours=getattr(ours, what),
      theirs=getattr(theirs, what),
      unit='GiB a step' if what == 'gib' else 'GiB of scratch memory',
      peer=f'commit {arguments.commit}',
      detail=detail,
      lower_is_better=True,
    )


def main() -> int:
  """Parses the arguments and reports."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--commit', default='89e6906')
  parser.add_argument(
    '--recipes', nargs='+', choices=RECIPES, default=list(RECIPES)
  )
  parser.add_argument('--depth', type=int)
  parser.add_argument('--chip', choices=(CARD, TPU), default=CARD)
  parser.add_argument('--out')
  arguments = parser.parse_args()
  return rows.report(all_rows(arguments), arguments.out)


if __name__ == '__main__':
  sys.exit(main())
