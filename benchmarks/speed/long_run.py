"""Memory, open files and threads of a long run, over its steps.

  python -m benchmarks.speed.long_run --steps 20000 --out rows.jsonl

SimCLR trains a vision transformer of two blocks on a mixture of all kinds of
sources, with a checkpoint and a look at the features every 500 steps. Prints
one JSON object for every thousand steps: resident memory in MiB, open files,
threads, and files in the workdir. The first ones are higher or lower than the
rest: compilation has just ended, and caches fill.
"""

import argparse
import io
import json
import os
import pathlib
import subprocess
import sys
import tarfile
import tempfile
import time
from typing import Any

import numpy as np
from PIL import Image

_EVERY = 500
_SECONDS = 1.0
_COUNT = 60


def _pictures() -> list[bytes]:
  from jaxssl import data

  pixels = data.make_source('photos', crops_per_picture=4)
  found = []
  for one in pixels.fetch(np.arange(_COUNT)).content:
    stream = io.BytesIO()
    Image.fromarray(one).save(stream, 'PNG')
    found.append(stream.getvalue())
  return found


def _sources(folder: pathlib.Path) -> list[dict[str, Any]]:
  """Writes a source of each kind of file; returns their sections."""
  import pyarrow
  import pyarrow.parquet
  import tensorflow as tf

  pictures = _pictures()
  (folder / 'files').mkdir()
  lines = ['image,caption']
  for number, content in enumerate(pictures):
    (folder / 'files' / f'{number}.png').write_bytes(content)
    lines.append(f'files/{number}.png,a picture')
  (folder / 'table.csv').write_text('\n'.join(lines))
  with tarfile.open(folder / 'a.tar', 'w') as file:
    for number, content in enumerate(pictures):
      member = tarfile.TarInfo(f'{number}.png')
      member.size = len(content)
      file.addfile(member, io.BytesIO(content))
  with tf.io.TFRecordWriter(str(folder / 'a.tfrecord')) as writer:
    for content in pictures:
      feature = {
        name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        for name, value in (('png', content), ('caption', b'a picture'))
      }
      example = tf.train.Example(features=tf.train.Features(feature=feature))
      writer.write(example.SerializeToString())
  rows = [{'image': {'bytes': content, 'path': None}} for content in pictures]
  for compression in ('none', 'snappy'):
    pyarrow.parquet.write_table(
      pyarrow.Table.from_pylist(rows),
      folder / f'{compression}.parquet',
      compression=compression,
      row_group_size=10,
    )
  files = [
    {'name': 'folder', 'path': str(folder / 'files')},
    {'name': 'table', 'path': str(folder / 'table.csv')},
    {'name': 'tar', 'path': str(folder / 'a.tar'), 'captions': ()},
    {'name': 'tfrecord', 'path': str(folder / 'a.tfrecord')},
    {'name': 'parquet', 'path': str(folder / 'none.parquet')},
    {'name': 'parquet', 'path': str(folder / 'snappy.parquet')},
  ]
  held = [{**section, 'test_fraction': 0.2} for section in files]
  return [{'name': 'photos'}, {'name': 'digits'}, *held]


_CONFIG = """
from ml_collections import ConfigDict


def get_config():
  return ConfigDict({config!r})
"""


def _config(sources: list[dict[str, Any]], steps: int) -> dict[str, Any]:
  return {
    'method': {'name': 'simclr', 'temperature': 0.2},
    'head': {'name': 'simclr', 'num_layers': 2, 'out_dim': 16},
    'encoder': {
      'name': 'vit_s16',
      'patch_size': 8,
      'dim': 32,
      'depth': 2,
      'num_heads': 2,
    },
    'augment': {'name': 'simclr_cifar', 'size': 16, 'scale': (0.2, 1.0)},
    'data': {'name': 'mixture', 'sources': sources},
    'input': {'crop': 'device', 'image_size': 24},
    'optim': {
      'name': 'adamw',
      'learning_rate': {'name': 'cosine', 'start': 1e-3, 'warmup_steps': 20},
      'lr_scaling': 'none',
    },
    'train': {
      'steps': steps,
      'batch_size': 8,
      'log_steps': 50,
      'checkpoint_steps': _EVERY,
    },
    'eval': {'steps': _EVERY, 'image_size': 16, 'limit': 256},
  }


def _seen(process: int, workdir: pathlib.Path) -> dict[str, Any] | None:
  """Returns what a process holds; None if it has ended or not begun."""
  place = pathlib.Path(f'/proc/{process}')
  try:
    *_, last = (workdir / 'metrics.jsonl').read_text().splitlines()
    status = dict(
      line.split(':', 1) for line in (place / 'status').read_text().splitlines()
    )
    return {
      'step': json.loads(last)['step'],
      'MiB': int(status['VmRSS'].split()[0]) >> 10,
      'open': len(os.listdir(place / 'fd')),
      'threads': int(status['Threads']),
      'files': sum(len(names) for _, _, names in os.walk(workdir)),
    }
  except (OSError, ValueError, KeyError):
    return None


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--steps', type=int, default=20_000)
  parser.add_argument('--every', type=int, default=1000)
  parser.add_argument('--out', type=pathlib.Path, help='file to append rows to')
  arguments = parser.parse_args()
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    config = _config(_sources(folder), arguments.steps)
    (folder / 'config.py').write_text(_CONFIG.format(config=config))
    process = subprocess.Popen(
      [
        *(sys.executable, '-m', 'jaxssl', 'train'),
        *('--config', str(folder / 'config.py')),
        *('--workdir', str(folder / 'run')),
      ],
      stdout=subprocess.DEVNULL,
    )
    due = 0
    while process.poll() is None:
      time.sleep(_SECONDS)
      row = _seen(process.pid, folder / 'run')
      if row is not None and row['step'] >= due:
        due = row['step'] // arguments.every * arguments.every + arguments.every
        print(json.dumps(row), flush=True)
        if arguments.out:
          with arguments.out.open('a') as file:
            file.write(json.dumps(row) + '\n')
  raise SystemExit(process.returncode)


if __name__ == '__main__':
  main()
