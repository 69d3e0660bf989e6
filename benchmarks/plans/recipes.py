"""Compiles the published recipes for TPU slices that are not there.

Each row is one `jaxssl plan` in a fresh process: whether the training step
compiles, whether it fits into a chip, and how fast it would be at an assumed
utilisation. Nothing runs on a TPU. `ours` is what the step needs of a chip,
`theirs` what the compiler may use, so that a ratio above 1 fits.

  python -m benchmarks.plans.recipes --out rows.jsonl
  python -m benchmarks.plans.recipes --recipes clip_l14 --slices v5e:4x4 \\
    --variants ring+parts16 --out more.jsonl
  python -m benchmarks.plans.recipes --table rows.jsonl more.jsonl

A variant is parts joined by `+`, see `PARTS`. A compilation takes one to ten
minutes on two cores.
"""

import argparse
from collections.abc import Iterator, Sequence
import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from typing import Any

from benchmarks.report import rows, table

CONFIGS = pathlib.Path(__file__).parents[2] / 'configs'
SLICES = {'v5e:4x4': 'v5e-16', 'v5e:16x16': 'v5e-256'}
# Pairs of LAION-400M's size; of no weight for memory or speed.
PAIRS = 400_000_000
PARTS = {
  'plain': (),
  'full': ('--config.method.chunk=none',),
  'ring': ('--config.method.chunk=1024',),
  'remat': ('--config.encoder.remat=true',),
  'parts4': ('--config.train.micro_batches=4',),
  'parts16': ('--config.train.micro_batches=16',),
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
  """What a paper trained.

  Attributes:
    title: of the table.
    config: name of a file in `configs/`.
    overrides: of the config, where the paper's size is another.
    variants: that are compiled unless others are asked for.
    num_examples: images of the data.
  """

  title: str
  config: str
  overrides: tuple[str, ...] = ()
  variants: tuple[str, ...] = ('plain',)
  num_examples: int = 1_281_167


_BOTH = ('full', 'ring')
# The vocabulary of the authors' tokenizer, whose file is not needed for shapes.
_TOKENS = '--config.text_encoder.vocab_size=49408'
RECIPES = {
  'simclr_r50': Recipe(
    title='SimCLR, ResNet-50',
    config='simclr_resnet50_imagenet',
    variants=_BOTH,
  ),
  'moco_v3_b16': Recipe(
    title='MoCo v3, ViT-B/16',
    config='moco_v3_vit_s16_imagenet',
    overrides=('--config.encoder.name=vit_b16',),
    variants=_BOTH,
  ),
  'dino_s16': Recipe(
    title='DINO, ViT-S/16, 2 + 8 crops', config='dino_vit_s16_imagenet'
  ),
  'mae_l16': Recipe(
    title='MAE, ViT-L/16',
    config='mae_vit_b16_imagenet',
    overrides=('--config.encoder.name=vit_l16',),
  ),
  'beit_b16': Recipe(title='BEiT, ViT-B/16', config='beit_vit_b16_imagenet'),
  'clip_b32': Recipe(
    title='CLIP, ViT-B/32',
    config='clip_vit_b32_tar',
    overrides=(_TOKENS,),
    variants=_BOTH,
    num_examples=PAIRS,
  ),
  'clip_l14': Recipe(
    title='CLIP, ViT-L/14',
    config='clip_vit_b32_tar',
    overrides=(
      _TOKENS,
      '--config.encoder.name=clip_vit_l14',
      '--config.text_encoder.name=clip_768',
      '--config.head.out_dim=768',
    ),
    variants=_BOTH,
    num_examples=PAIRS,
  ),
}


def plan(
  recipe: Recipe, topology: str, variant: str, folder: pathlib.Path
) -> dict[str, Any]:
  """Runs `jaxssl plan`; returns its figures, or only `error`."""
  out = folder / 'plan.json'
  out.unlink(missing_ok=True)
  changes = [*recipe.overrides, *overrides_of(variant)]
  if recipe.config.startswith('beit'):
    changes.append(f'--config.method.tokenizer={tokenizer(folder)}')
  done = subprocess.run(
    [
      *(sys.executable, '-W', 'ignore', '-m', 'jaxssl', 'plan'),
      *('--config', str(CONFIGS / f'{recipe.config}.py'), *changes),
      *('--topology', topology, '--num_examples', str(recipe.num_examples)),
      *('--out', str(out)),
    ],
    stdout=subprocess.DEVNULL,
    stderr=subprocess.PIPE,
    text=True,
    check=False,
    env=os.environ | {'JAX_PLATFORMS': 'cpu'},
  )
  if done.returncode:
    return {'error': (done.stderr.strip().splitlines() or ['no message'])[-1]}
  return json.loads(out.read_text())


def overrides_of(variant: str) -> list[str]:
  """Returns the changes of the config that the parts of a variant mean.

  Raises:
    ValueError: for an unknown part.
  """
  parts = variant.split('+')
  unknown = [part for part in parts if part not in PARTS]
  if unknown:
    raise ValueError(f'unknown part {unknown[0]!r}; known: {", ".join(PARTS)}')
  return [change for part in parts for change in PARTS[part]]


def tokenizer(folder: pathlib.Path) -> pathlib.Path:
  """Writes an image tokenizer of DALL-E's size, all weights zero."""
  import jax
  import jax.numpy as jnp
  import numpy as np

  from jaxssl import models
  from jaxssl.augment.preprocessing import usual
  from jaxssl.weights.exported import ExportedEncoder, save_encoder

  section, size = {'name': 'dvae'}, 112
  shapes = jax.eval_shape(
    models.make_encoder(**section).init,
    jax.random.key(0),
    jnp.zeros((1, size, size, 3)),
  )
  exported = ExportedEncoder(
    section=section,
    variables=jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes),
    preprocessing=usual(size, crop_fraction=1.0),
    step=0,
    config_hash='none',
  )
  return save_encoder(folder / 'tokenizer', exported)


def plan_row(
  name: str, topology: str, variant: str, folder: pathlib.Path
) -> dict[str, Any]:
  """Returns the row of one compilation, with all figures under `plan`."""
  found = plan(RECIPES[name], topology, variant, folder)
  needed = found.get('needed of a chip, GiB')
  settings = ' '.join([*RECIPES[name].overrides, *overrides_of(variant)])
  row = rows.row(
    f'plans/{name}/{SLICES.get(topology, topology)}/{variant}',
    ours=needed,
    theirs=needed and needed + found['left, GiB'],
    unit='GiB of a chip',
    peer='what the compiler may use',
    detail=f'{RECIPES[name].config} {settings}'.strip(),
    lower_is_better=True,
  )
  return {**row, 'recipe': name, 'variant': variant, 'plan': found}


def markdown(found: Sequence[dict[str, Any]]) -> str:
  """Returns the table of these rows."""
  head = ('recipe', 'slice', 'batch', 'how', 'needed, GiB', 'fits')
  head += ('all-reduce', 'all-gather', 'ring', 'compiling, s', 'images/s')
  return table.grid(head, map(_cells, found))


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
  title, figures = RECIPES[row['recipe']].title, row['plan']
  slice_ = row['name'].split('/')[2]
  if 'error' in figures:
    return (title, slice_, '', row['variant'], figures['error'], *[''] * 6)
  sent = [
    f'{figures[key]:,.0f} MiB' if (key := f'{kind}, MiB') in figures else '0'
    for kind in ('all-reduce', 'all-gather', 'collective-permute')
  ]
  rate = next(v for k, v in figures.items() if k.startswith('images/s'))
  fits = figures['fits']
  return (
    title,
    slice_,
    str(figures['batch']),
    row['variant'],
    f'{row["ours"]:.2f} of {row["theirs"]:.2f}',
    'yes' if fits else '**no**',
    *(sent if fits else ('', '', '')),
    f'{figures["compile seconds"]:.0f}',
    f'{float(f"{rate:.4g}"):,.0f}' if fits else '',
  )


def all_rows(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
  with tempfile.TemporaryDirectory() as folder:
    for topology in args.slices:
      for name in args.recipes:
        for variant in args.variants or RECIPES[name].variants:
          yield plan_row(name, topology, variant, pathlib.Path(folder))


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument(
    '--recipes', nargs='+', choices=RECIPES, default=[*RECIPES]
  )
  parser.add_argument('--slices', nargs='+', default=[*SLICES])
  parser.add_argument('--variants', nargs='+', help='instead of the usual')
  parser.add_argument('--out', help='file to write the rows to, JSON lines')
  parser.add_argument(
    '--table',
    nargs='+',
    type=pathlib.Path,
    metavar='FILE',
    help='print the table of these files instead',
  )
  args = parser.parse_args()
  for variant in args.variants or ():
    try:
      overrides_of(variant)
    except ValueError as error:
      parser.error(str(error))
  if args.table:
    found = [row for path in args.table for row in table.read(path)]
    print(markdown(found), end='')
    return
  rows.report(all_rows(args), args.out)


if __name__ == '__main__':
  main()
