"""`jaxssl` that notes what it reads to train on, for tests.

The environment's `NOTES` is the folder; each process writes a file of its own.
"""

import json
import os
import pathlib
import sys

import jax

from jaxssl import cli, data


class _Noted:
  """A source that notes the records that are read from it."""

  def __init__(self, source, reads):
    self._source, self._reads = source, reads

  def __getattr__(self, name):
    return getattr(self._source, name)

  def fetch(self, index):
    self._reads.update(index.tolist())
    return self._source.fetch(index)


class _NotedBatches:
  """Batches that note which records they hold."""

  def __init__(self, batches, order):
    self._batches, self._order = batches, order

  def __getattr__(self, name):
    return getattr(self._batches, name)

  def __next__(self):
    batch = next(self._batches)
    self._order.append(batch['index'].tolist())
    return batch


def main() -> int:
  reads, order, train_batches = set(), [], data.train_batches

  def noted(source, **kwargs):
    order.clear()  # an example was looked at before
    return _NotedBatches(train_batches(_Noted(source, reads), **kwargs), order)

  data.train_batches = noted
  code = cli.main(sys.argv[1:])
  path = pathlib.Path(os.environ['NOTES']) / f'{jax.process_index()}.json'
  path.write_text(json.dumps({'reads': sorted(reads), 'order': order}))
  return code


if __name__ == '__main__':
  sys.exit(main())
