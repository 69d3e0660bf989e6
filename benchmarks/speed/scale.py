"""Time and memory of opening data of many records.

  python -m benchmarks.speed.scale --folder runs/scale --out rows.jsonl
  python -m benchmarks.speed.scale --kinds kept hold_out --sizes 10000000

Kinds:

* `kept`: tar files of 10,000 records each whose indices are kept already, with
  a caption and a label a record. The files are empty and the indices written by
  this script: ten million records take two gigabytes of disk.
* `hold_out`: the same with a tenth held out.
* `folder`: hard links to 65 files in a folder for each 10,000.
* `tar`: tar files of 10,000 records that are really there, first without and
  then with indices, and with one file more.
* `parquet`, `snappy`: parquet files of 10,000 rows without and with
  compression, the same.

Each measurement is a process of its own, that opens the source, hashes it and
finds the records of a batch. Seconds are those of the processor, of processes
that it starts too; memory is the peak of the process, which without data is
that of the row `nothing`. One JSON object a row.
"""

import argparse
from collections.abc import Callable, Iterator
import io
import itertools
import json
import os
import pathlib
import resource
import shutil
import subprocess
import sys
import tarfile
import time
from typing import Any

import numpy as np

from jaxssl import data
from jaxssl.data import kept_index, tar
from jaxssl.data.captions import Captions
from jaxssl.data.shard_index import ShardIndex, coded, packed

PER_FILE = 10_000
CLASSES = 1000
# As many links as ext4 allows to a file.
_LINKS = 60_000
_PICTURE = bytes.fromhex(
  '47494638396101000100800000ffffff00000021f90401000000002c00000000010001000002'
  '024401003b'
)


def _kept(folder: pathlib.Path, count: int) -> dict[str, Any]:
  wanted = tar.Wanted(
    pictures=None, captions=(('txt', None),), label=('cls', None)
  )
  for number in range(count // PER_FILE):
    with (folder / f'{number:05}.tar').open('wb') as file:
      file.truncate(PER_FILE * 2048)
  rows = np.arange(PER_FILE)
  texts, codes = coded([str(row % CLASSES) for row in rows])
  for path in folder.glob('*.tar'):
    index = ShardIndex(
      names=packed(f'{path.stem}{row:05}' for row in rows),
      places=np.stack([rows * 2048 + 512, np.full(PER_FILE, 1024)], axis=1),
      captions=Captions.from_texts(
        [f'a picture of the thing number {row} in file number {path.stem}']
        for row in rows
      ),
      labels=codes,
      label_texts=texts,
      skipped={},
    )
    state = kept_index.state_of(str(path))
    index.save(kept_index.place(str(path), state, tar.settings(wanted)))
  return {'name': 'tar', 'path': str(folder / '*.tar'), 'label': 'cls'}


def _folder(folder: pathlib.Path, count: int) -> dict[str, Any]:
  origins = folder / '.origins'
  for number in range(count):
    below = folder / f'{number // PER_FILE:05}'
    if number % PER_FILE == 0:
      below.mkdir(parents=True)
    origin = origins / f'{number // _LINKS}.gif'
    if number % _LINKS == 0:
      origins.mkdir(exist_ok=True)
      origin.write_bytes(_PICTURE)
    os.link(origin, below / f'picture_{number:09}.gif')
  return {'name': str(folder)}


def _tar(folder: pathlib.Path, count: int) -> dict[str, Any]:
  for number in range(count // PER_FILE):
    with tarfile.open(folder / f'{number:05}.tar', 'w') as file:
      for row in range(PER_FILE):
        for ending, content in (
          ('gif', _PICTURE),
          ('txt', f'picture number {row} of {number}'.encode()),
          ('cls', b'%d' % (row % CLASSES)),
        ):
          member = tarfile.TarInfo(f'{row:06}.{ending}')
          member.size = len(content)
          file.addfile(member, io.BytesIO(content))
  return {'name': 'tar', 'path': str(folder / '*.tar'), 'label': 'cls'}


def _parquet(
  folder: pathlib.Path, count: int, compression: str
) -> dict[str, Any]:
  import pyarrow
  import pyarrow.parquet

  features = {'label': {'_type': 'ClassLabel', 'names': list(range(CLASSES))}}
  metadata = {'huggingface': json.dumps({'info': {'features': features}})}
  for number in range(count // PER_FILE):
    rows = [
      {
        'image': {
          # No two alike, or a dictionary would hold one.
          'bytes': _PICTURE + b'%d %d' % (number, row),
          'path': f'{row}.gif',
        },
        'label': row % CLASSES,
        'text': f'picture number {row} of {number}',
      }
      for row in range(PER_FILE)
    ]
    table = pyarrow.Table.from_pylist(rows).replace_schema_metadata(metadata)
    pyarrow.parquet.write_table(
      table,
      folder / f'{number:05}.parquet',
      row_group_size=100,
      compression=compression,
    )
  return {'name': 'parquet', 'path': str(folder), 'captions': 'text'}


MAKE: dict[str, Callable[[pathlib.Path, int], dict[str, Any]]] = {
  'kept': _kept,
  'hold_out': lambda f, n: {**_kept(f, n), 'test_fraction': 0.1},
  'folder': _folder,
  'tar': _tar,
  'parquet': lambda f, n: _parquet(f, n, 'none'),
  'snappy': lambda f, n: _parquet(f, n, 'snappy'),
}


def _seconds() -> float:
  times = map(
    resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
  )
  return sum(each.ru_utime + each.ru_stime for each in times)


def measure(section: dict[str, Any]) -> dict[str, Any]:
  """Opens a source in this process; an empty section opens none."""
  marks, started = [_seconds()], time.perf_counter()
  row: dict[str, Any] = {}
  if section:
    source = data.make_source(**section)
    marks.append(_seconds())
    row['records'] = source.num_examples
    row['identity'] = source.identity[:8]
    marks.append(_seconds())
    indices = source.locate(np.arange(256), seed=0)[1]
    source.fetch(indices)
    marks.append(_seconds())
  spent = [round(b - a, 2) for a, b in itertools.pairwise(marks)]
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
  return {
    **row,
    **dict(zip(('open', 'hash', 'batch'), spent, strict=False)),
    'MiB': round(peak),
    'wall': round(time.perf_counter() - started, 1),
  }


def _apart(kind: str, section: dict[str, Any], cache: pathlib.Path) -> str:
  """Measures in a process of its own; returns the row."""
  done = subprocess.run(
    [sys.executable, '-m', __spec__.name, '--section', json.dumps(section)],
    env={**os.environ, 'XDG_CACHE_HOME': str(cache)},
    stdout=subprocess.PIPE,
    text=True,
    check=True,
  )
  return json.dumps({'kind': kind, **json.loads(done.stdout.splitlines()[-1])})


def rows(kind: str, count: int, folder: pathlib.Path) -> Iterator[str]:
  """Makes data of one size, measures, and deletes it."""
  place, cache = folder / f'{kind}-{count}', folder / f'cache-{kind}-{count}'
  place.mkdir(parents=True)
  os.environ['XDG_CACHE_HOME'] = str(cache)
  try:
    section = MAKE[kind](place, count)
    if kind in ('tar', 'parquet', 'snappy'):
      yield _apart(f'{kind}, first', section, cache)
    yield _apart(kind, section, cache)
    if kind in ('tar', 'parquet', 'snappy'):
      first = sorted(place.iterdir())[0]
      shutil.copy(first, place / f'x{first.suffix}')
      yield _apart(f'{kind}, a file more', section, cache)
  finally:
    shutil.rmtree(place)
    shutil.rmtree(cache, ignore_errors=True)


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--kinds', nargs='+', default=list(MAKE), choices=MAKE)
  parser.add_argument('--sizes', nargs='+', type=int, default=[10**5, 10**6])
  parser.add_argument('--folder', type=pathlib.Path, default='runs/scale')
  parser.add_argument('--out', type=pathlib.Path, help='file to append rows to')
  parser.add_argument('--section', type=json.loads, help=argparse.SUPPRESS)
  arguments = parser.parse_args()
  if arguments.section is not None:
    print(json.dumps(measure(arguments.section)))
    return
  found = itertools.chain(
    (_apart('nothing', {}, arguments.folder) for _ in range(1)),
    *(
      rows(kind, size, arguments.folder)
      for kind in arguments.kinds
      for size in arguments.sizes
    ),
  )
  for row in found:
    print(row, flush=True)
    if arguments.out:
      with arguments.out.open('a') as file:
        file.write(row + '\n')


if __name__ == '__main__':
  main()
