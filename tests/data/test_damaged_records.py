"""Records that are damaged after their source was opened."""

import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from jaxssl import data
from jaxssl.augment.preprocessing import usual
from jaxssl.errors import UserError
from tests.data.test_every_source import IN_A_STORE, SOURCES

# All sources that lie in files; array records are checked by their library.
# Where rows are compressed together, all are lost: tests/data/test_parquet.py.
KINDS = [*(k for k in IN_A_STORE if k != 'snappy'), 'tfds_array_record']
VICTIM = 3


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))


def _damage(folder, content):
  """Zeros in the place of a picture, wherever it is stored, but its start."""
  # A JPEG with a hole is decoded: gray from there on.
  rest = content[16:]
  for path in pathlib.Path(folder).rglob('*'):
    if path.is_file() and rest in (whole := path.read_bytes()):
      path.write_bytes(whole.replace(rest, bytes(len(rest))))
      return
  raise AssertionError('no file holds the picture')


@pytest.mark.parametrize('kind', KINDS)
def test_a_damaged_record_is_counted_named_and_replaced(kind, tmp_path):
  folder = tmp_path / 'data'
  folder.mkdir()
  source = data.make_source(**SOURCES[kind](folder))
  (content,) = source.fetch(np.array([VICTIM])).content
  _damage(folder, _stored(source, content))
  told = []
  batches = data.train_batches(
    source,
    batch_size=2 * source.num_examples,
    seed=0,
    image_size=8,
    on_bad=lambda name, reason: told.append((name, reason)),
  )
  index = next(batches)['index']
  batches.close()
  assert [name for name, _ in told] == [source.describe(VICTIM)]
  assert batches.bad == 1
  assert VICTIM not in index
  (batch, *_) = data.eval_batches(
    source, batch_size=64, preprocessing=usual(8, crop_fraction=1.0)
  )
  assert np.flatnonzero(~batch['mask'])[0] == VICTIM
  assert batch['mask'].sum() == source.num_examples - 1
  with pytest.raises(UserError, match='cannot be read'):
    list(
      data.eval_batches(
        source, batch_size=64, preprocessing=usual(8), strict=True
      )
    )


def _stored(source, content):
  if source.content == 'paths':
    return pathlib.Path(content.decode()).read_bytes()
  return bytes(content)


# In a process of its own, as TensorFlow is told what to print at its import.
_TOLD = """
import sys
from jaxssl.data.optional import tensorflow
tf = tensorflow()
content = tf.io.encode_jpeg(tf.zeros((64, 64, 3), tf.uint8)).numpy()
try:
  tf.io.decode_jpeg(content[:-40])
except tf.errors.InvalidArgumentError:
  sys.exit(7)
"""


def test_libraries_print_nothing_of_a_damaged_picture():
  quiet = {n: v for n, v in os.environ.items() if n != 'TF_CPP_MIN_LOG_LEVEL'}
  done = subprocess.run(
    [sys.executable, '-c', _TOLD],
    env=quiet,
    capture_output=True,
    text=True,
    check=False,
  )
  assert (done.returncode, done.stderr) == (7, '')
