"""Results as aligned plain text."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from jaxssl.printable import printable

Metrics = Mapping[str, float]


class Table(NamedTuple):
  """What is printed of a result.

  Attributes:
    title: heading; results with the same one are printed as one table.
    rows: for each line, name -> numbers by column.
    in_percent: whether they are fractions in [0, 1], printed in per cent.
  """

  title: str
  rows: Mapping[str, Metrics]
  in_percent: bool = True


def headline(
  evaluation: Any, metrics: Metrics, *, encoder: str, data: str
) -> Table:
  """Returns `top1` of an encoder, in the column of the evaluation.

  Args:
    evaluation: gives the name of the column.
    metrics: what `run` returns.
    encoder: name of the encoder.
    data: name of the data.
  """
  rows = {encoder: {evaluation.name: metrics['top1']}}
  return Table(f'top-1 % on {data}', rows)


def all_metrics(
  evaluation: Any, metrics: Metrics, *, encoder: str, data: str
) -> Table:
  """Returns all fractions of an encoder; counts are left out.

  Args:
    evaluation: gives the name of the title.
    metrics: what `run` returns.
    encoder: name of the encoder.
    data: name of the data.
  """
  shown = {k: v for k, v in metrics.items() if not k.startswith('num_')}
  return Table(f'{evaluation.name} on {data}, %', {encoder: shown})


def headlines(*names: str, in_percent: bool = True) -> Callable[..., Table]:
  """Returns the `table` of an evaluation that prints some of its metrics.

  Args:
    *names: the metrics.
    in_percent: whether they are fractions.
  """

  def table(
    evaluation: Any, metrics: Metrics, *, encoder: str, data: str
  ) -> Table:
    unit = ', %' if in_percent else ''
    rows = {encoder: {name: metrics[name] for name in names}}
    return Table(f'{evaluation.name} on {data}{unit}', rows, in_percent)

  return table


def format_table(
  rows: Mapping[str, Metrics],
  *,
  title: str = 'encoder',
  in_percent: bool = True,
) -> str:
  """Returns an aligned plain-text table of numbers.

  Args:
    rows: for each line, name -> numbers by column. Columns stand in the order
      in which they first occur; what a row lacks is shown as `-`.
    title: heading of the names.
    in_percent: whether they are fractions, shown in per cent.
  """
  shown = '{:.1f}' if in_percent else '{:.3f}'
  scale = 100 if in_percent else 1
  columns = list(dict.fromkeys(name for row in rows.values() for name in row))
  cells = [[title, *columns]]
  for name, row in rows.items():
    values = [
      shown.format(scale * row[c]) if c in row else '-' for c in columns
    ]
    cells.append([name, *values])
  return aligned(cells)


def aligned(cells: list[list[str]]) -> str:
  """Returns lines of cells with a rule under the first.

  The first column stands left, all others right. Names are from data and are
  shown as `printable` shows them.
  """
  cells = [[printable(cell) for cell in line] for line in cells]
  widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
  lines = ['  '.join(_line(line, widths)).rstrip() for line in cells]
  return '\n'.join([lines[0], '  '.join('-' * w for w in widths), *lines[1:]])


def _line(line: list[str], widths: list[int]) -> list[str]:
  numbers = zip(line[1:], widths[1:], strict=True)
  return [line[0].ljust(widths[0]), *(n.rjust(w) for n, w in numbers)]
