"""How every benchmark reports: one JSON object per row."""

from collections.abc import Iterable
import contextlib
import json
from typing import Any


def row(
  name: str,
  *,
  ours: float | None,
  theirs: float | None,
  unit: str,
  peer: str,
  detail: str,
  lower_is_better: bool = False,
) -> dict[str, Any]:
  """Returns one row.

  Args:
    name: benchmark and workload, such as `step/resnet18_32`.
    ours: what jaxssl reached, or None if it was not run.
    theirs: what the peer reached, or None if it was not run.
    unit: of both.
    peer: what `theirs` is.
    detail: settings, number of runs and their range.
    lower_is_better: whether the unit is a time or another cost.

  Returns:
    The arguments and `ratio`, above 1 where jaxssl is better.
  """
  ratio = None
  if ours and theirs:
    ratio = theirs / ours if lower_is_better else ours / theirs
  return {
    'name': name,
    'ours': _rounded(ours),
    'theirs': _rounded(theirs),
    'unit': unit,
    'ratio': _rounded(ratio),
    'peer': peer,
    'detail': detail,
  }


def failed(row: dict[str, Any], reason: str) -> dict[str, Any]:
  """Returns the row of a measurement of which a side failed, with the reason.

  What was measured nevertheless stays in it.
  """
  return {**row, 'failed': reason}


def report(rows: Iterable[dict[str, Any]], out: str | None) -> int:
  """Prints each row as it comes, and writes it to the file `out` at once.

  Returns:
    1 if a row has failed, otherwise 0: the exit code of a benchmark.
  """
  code = 0
  with contextlib.ExitStack() as stack:
    file = None
    if out:
      file = stack.enter_context(open(out, 'w', encoding='utf-8'))
    for each in rows:
      line = json.dumps(each)
      print(line, flush=True)
      if file:
        file.write(line + '\n')
        file.flush()
      code = 1 if 'failed' in each else code
  return code


def _rounded(value: float | None) -> float | None:
  """Keeps four digits; a rate is not known better than that."""
  return None if value is None else float(f'{value:.4g}')
