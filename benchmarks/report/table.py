"""A page of Markdown from the rows of benchmarks.

  python -m benchmarks.report.table rows.jsonl more.jsonl --out page.md \
      --title 'On a GPU' --command './benchmarks/gpu.sh'

Above the table stand date, machine, versions and command. A file that is not
there, or empty, is named: its benchmark ended before its first row.
"""

import argparse
from collections.abc import Iterable, Sequence
import datetime
import importlib.metadata
import json
import os
import pathlib
import platform
import shutil
import subprocess
from typing import Any

COLUMNS = ('', 'ours', 'theirs', 'ratio', 'unit', 'peer', 'details')
PACKAGES = (
  'jax',
  'flax',
  'torch',
  'timm',
  'lightly',
  'open_clip_torch',
  'nvidia-cudnn-cu13',
  'nvidia-cudnn-cu12',
)


def read(path: pathlib.Path) -> list[dict[str, Any]]:
  """Returns the rows of a file; none if there is no such file."""
  if not path.exists():
    return []
  lines = path.read_text(encoding='utf-8').splitlines()
  return [json.loads(line) for line in lines]


def markdown(rows: Iterable[dict[str, Any]]) -> str:
  """Returns a table; what has no number says why."""
  return grid(COLUMNS, map(cells, rows))


def grid(columns: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
  """Returns cells under their columns."""
  lines = [columns, ('---',) * len(columns), *lines]
  return ''.join(f'| {" | ".join(line)} |\n' for line in lines)


def cells(row: dict[str, Any]) -> list[str]:
  """Returns the cells of a row."""
  failed, detail = row.get('failed'), row['detail']
  missing = 'not run' if detail.startswith('not run') else '-'
  details = [f'**failed**: {failed}'] if failed else []
  details += [detail] if detail else []
  texts = [
    row['name'],
    number(row['ours'], missing),
    number(row['theirs'], missing),
    number(row['ratio'], ''),
    row['unit'],
    row['peer'],
    '; '.join(details),
  ]
  return [' '.join(text.replace('|', r'\|').split()) for text in texts]


def number(value: float | None, missing: str) -> str:
  """Returns a number as it was rounded."""
  return missing if value is None else f'{value:g}'


def machine() -> str:
  """Returns processors and, where the driver says so, graphics cards."""
  parts = [f'{os.cpu_count()} CPUs ({platform.machine()})', *cards()]
  return ', '.join(parts)


def cards() -> list[str]:
  """Returns name, memory and driver of each NVIDIA card."""
  program = shutil.which('nvidia-smi')
  if program is None:
    return ['no GPU']
  query = '--query-gpu=name,memory.total,driver_version'
  done = subprocess.run(
    [program, query, '--format=csv,noheader'],
    capture_output=True,
    check=False,
    text=True,
  )
  return done.stdout.splitlines() if done.returncode == 0 else ['no GPU']


def versions() -> str:
  """Returns the versions of what is compared, as far as it is installed."""
  found = [f'Python {platform.python_version()}']
  for name in PACKAGES:
    try:
      found.append(f'{name} {importlib.metadata.version(name)}')
    except importlib.metadata.PackageNotFoundError:
      continue
  return ', '.join(found)


def page(
  paths: Sequence[pathlib.Path], *, title: str, command: str, note: str = ''
) -> str:
  """Returns the whole page."""
  files = {path: read(path) for path in paths}
  today = datetime.datetime.now(datetime.UTC).date().isoformat()
  parts = [f'# {title}', f'{today}. {machine()}. {versions()}.', f'`{command}`']
  parts += [note] if note else []
  parts.append(markdown(row for rows in files.values() for row in rows).strip())
  parts += [
    f'No rows in `{path.name}`: its benchmark ended before the first.'
    for path, rows in files.items()
    if not rows
  ]
  return '\n\n'.join(parts) + '\n'


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('rows', nargs='+', type=pathlib.Path, metavar='FILE')
  parser.add_argument('--title', required=True)
  parser.add_argument('--command', required=True, help='what made the rows')
  parser.add_argument('--note', default='', help='a sentence above the table')
  parser.add_argument('--out', type=pathlib.Path, required=True)
  args = parser.parse_args()
  text = page(args.rows, title=args.title, command=args.command, note=args.note)
  args.out.write_text(text, encoding='utf-8')


if __name__ == '__main__':
  main()
