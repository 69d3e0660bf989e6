"""What a run with a guard has made of its starting encoder, as a table."""

from collections.abc import Mapping
import json

import numpy as np

from jaxssl import npz_file
from jaxssl.evals.guard import AGREEMENT, RANK, TOP1
from jaxssl.evals.table import aligned
from jaxssl.paths import Path

# Column -> what stands there of each picture, and of all.
_COLUMNS = {TOP1: 'right', AGREEMENT: 'overlap'}


def table(folder: Path) -> str:
  """Returns lines: before, after, the difference and its spread; and the best.

  The spread is the standard error of the paired difference over the pictures
  that were looked at (`paired_error`): how far the difference would be off with
  other pictures of the same kind. It does not hold what another seed of the
  training would change.

  Args:
    folder: of the guard.
  """
  looks = {look['step']: look for look in _looks(folder)}
  first, last = min(looks), max(looks)
  parts = {name: _arrays(folder, name) for name in ('start', 'best', 'last')}
  best = int(parts['best']['step'])
  lines = [['', *(_title(name) for name in _shown(looks[first]))]]
  lines.append(_line('before', looks[first]))
  for name, step in (('best', best), ('last', last)):
    if step == first:
      continue
    if name == 'best' and step == last:
      continue
    title = 'after' if name == 'last' else 'best'
    lines.append(_line(f'{title}, step {step}', looks[step]))
    lines.append(
      [
        '  difference',
        *(
          _difference(column, looks[first], looks[step], parts, name)
          for column in _shown(looks[first])
        ),
      ]
    )
  count = len(parts['start'].get('right', parts['start']['overlap']))
  return (
    f'{aligned(lines)}\n'
    f'+-: standard error of the paired difference over {count} pictures\n'
    f'best: step {best}, in export/best'
  )


def paired_error(before: np.ndarray, after: np.ndarray) -> float:
  """Returns the standard error of mean(after - before) over the same pictures.

    s = sqrt(sum_i (d_i - mean d)^2 / (n - 1)) / sqrt(n),  d = after - before

  For answers that are right or wrong it is that of McNemar's table: with b
  pictures that became right and c that became wrong, n^2 s^2 is about
  b + c - (b - c)^2 / n. A bootstrap over the pictures tends to the same number;
  two errors of single shares would leave out that the pictures are the same.

  Args:
    before: a number or a truth of each picture, [n], n > 1.
    after: the same of the same pictures.
  """
  difference = after.astype(np.float64) - before.astype(np.float64)
  return float(difference.std(ddof=1) / np.sqrt(len(difference)))


def _looks(folder: Path) -> list[dict[str, float]]:
  return json.loads((folder / 'looks.json').read_text())


def _arrays(folder: Path, name: str) -> dict[str, np.ndarray]:
  return npz_file.read(folder / f'{name}.npz')


def _shown(look: Mapping[str, float]) -> list[str]:
  return [name for name in (TOP1, AGREEMENT, RANK) if name in look]


def _title(name: str) -> str:
  return {
    TOP1: 'kNN %',
    AGREEMENT: 'neighbours kept %',
    RANK: 'effective rank',
  }[name]


def _value(name: str, value: float) -> str:
  return f'{value:.1f}' if name == RANK else f'{100 * value:.1f}'


def _line(title: str, look: Mapping[str, float]) -> list[str]:
  return [title, *(_value(name, look[name]) for name in _shown(look))]


def _difference(
  column: str,
  first: Mapping[str, float],
  now: Mapping[str, float],
  parts: Mapping[str, Mapping[str, np.ndarray]],
  name: str,
) -> str:
  change = now[column] - first[column]
  if column == RANK:
    return f'{change:+.1f}'  # of all pictures at once
  key = _COLUMNS[column]
  error = 100 * paired_error(parts['start'][key], parts[name][key])
  return f'{100 * change:+.1f} +- {error:.1f}'
