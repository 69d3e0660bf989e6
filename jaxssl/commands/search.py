"""`jaxssl search`: the pictures that fit a sentence best."""

import argparse
from collections.abc import Sequence
import dataclasses
import logging
import pathlib
import textwrap

import numpy as np

from jaxssl import finite
from jaxssl.arguments import data_choice, targets
from jaxssl.data.source import Source
from jaxssl.data.thumbnails import thumbnails
from jaxssl.errors import UserError
from jaxssl.pictures import grid
from jaxssl.printable import printable
from jaxssl.runs import sources, towers
from jaxssl.runs.towers import Towers
from jaxssl.train.workdir import Workdir

_COLUMNS, _SIDE = 4, 224  # of the picture of those that are found
_LETTERS = 64
_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Match:
  """A picture that was found.

  Attributes:
    score: cosine of picture and sentence.
    index: record of the source.
  """

  score: float
  index: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the arguments of the command."""
  parser.add_argument('sentence', help='what to look for')
  parser.add_argument('--workdir', required=True, help='folder of the run')
  parser.add_argument('--step', type=int, help='checkpoint; default: newest')
  parser.add_argument(
    '--split',
    help='default: that of the run, or test; all of a file of pairs',
  )
  parser.add_argument(
    '--num_images', type=int, default=8, help='how many; default: 8'
  )
  parser.add_argument('--out', help='PNG file for the pictures that are found')
  data_choice.add(parser)


def run(arguments: argparse.Namespace, overrides: Sequence[str]) -> int:
  """Prints the best matches, and draws them with `--out`."""
  out = arguments.out and pathlib.Path(arguments.out)
  if out:
    targets.check_file(out, suffix='.png')
  if arguments.num_images < 1:
    raise UserError(f'--num_images is {arguments.num_images}; give 1 or more')
  workdir = Workdir(arguments.workdir)
  towers.read_config(workdir)  # a run without texts is told before its data
  choice = data_choice.choice(arguments, overrides)
  source, _ = choice.open(workdir, arguments.split)
  model = towers.load(workdir, step=arguments.step)
  found = search(
    model,
    source,
    arguments.sentence,
    count=arguments.num_images,
    limit=arguments.limit,
  )
  if not found:
    raise UserError(f'{source.name}: there is no picture to look at')
  for match in found:
    name = printable(source.describe(match.index))
    print(f'{match.score:.3f}  {name}')
  if out:
    out.parent.mkdir(parents=True, exist_ok=True)
    grid.write_png(_drawn(arguments.sentence, found, source), out)
    _log.info('wrote %s', out)
  return 0


def search(
  model: Towers,
  source: Source,
  sentence: str,
  *,
  count: int,
  limit: int | None = None,
) -> list[Match]:
  """Returns the pictures of a source that fit a sentence best, best first.

  Pictures pass once; only the best so far are kept.

  Args:
    model: the towers.
    source: where to look.
    sentence: what to look for.
    count: how many pictures.
    limit: look at so many, evenly spread; None for all.
  """
  (text,) = model.encode_text([sentence])
  best: list[Match] = []
  for batch in sources.batches(source, model.exported, limit=limit):
    rows = np.asarray(model.encode_images(batch['image']))
    finite.require_rows(rows[batch['mask']], 'features of images')
    scores = np.where(batch['mask'], rows @ text, -np.inf)
    for row in np.argsort(-scores, kind='stable')[:count].tolist():
      if batch['mask'][row]:
        best.append(
          Match(
            score=float(scores[row]),
            index=int(batch['index'][row]),
          )
        )
    # Stable: of equal scores the earlier picture stays before.
    best = sorted(best, key=lambda match: -match.score)[:count]
  return best


def _drawn(sentence: str, found: Sequence[Match], source: Source) -> np.ndarray:
  """Returns the whole pictures under the sentence, best first, row by row."""
  columns = min(_COLUMNS, len(found))
  indices = [match.index for match in found]
  images = [_square(x) for x in thumbnails(source, indices, side=_SIDE)]
  captions = [_caption(match, source) for match in found]
  missing = -len(found) % columns
  images += [np.full((_SIDE, _SIDE, 3), 255, np.uint8)] * missing
  captions += [()] * missing
  return grid.grid(
    [images[i::columns] for i in range(columns)],
    captions=[captions[i::columns] for i in range(columns)],
    heading=f'"{sentence}"',
  )


def _square(image: np.ndarray) -> np.ndarray:
  """Lays a picture on a white square, so that all have one scale."""
  height, width = image.shape[:2]
  square = np.full((_SIDE, _SIDE, 3), 255, np.uint8)
  top, left = (_SIDE - height) // 2, (_SIDE - width) // 2
  square[top : top + height, left : left + width] = image
  return square


def _caption(match: Match, source: Source) -> tuple[str, ...]:
  own = source.captions[match.index] if source.captions else ()
  lines = textwrap.wrap(printable(own[0][:_LETTERS]), 32)[:2] if own else []
  return (f'{match.score:.3f}', *lines)
