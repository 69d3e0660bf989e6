"""Pipes, sockets, links to nothing: no regular files, and never opened."""

import os
import socket

import numpy as np
import pytest

from jaxssl import data
from jaxssl.augment.preprocessing import usual
from jaxssl.errors import UserError
from tests.data import pairs

COUNT = 6


def _pipe(path):
  os.mkfifo(path)


def _socket(path):
  with socket.socket(socket.AF_UNIX) as opened:
    folder = os.open(path.parent, os.O_RDONLY)
    # The whole path may be longer than the name of a socket.
    opened.bind(f'/proc/self/fd/{folder}/{path.name}')
    os.close(folder)


def _link_to_nothing(path):
  path.symlink_to(path.with_name('nothing.png'))


def _link_to_itself(path):
  path.symlink_to(path)


def _link_to_a_pipe(path):
  _pipe(path.with_name('.pipe'))
  path.symlink_to(path.with_name('.pipe'))


KINDS = {
  'pipe': _pipe,
  'socket': _socket,
  'link to nothing': _link_to_nothing,
  'link to itself': _link_to_itself,
  'link to a pipe': _link_to_a_pipe,
}


def _folder(folder):
  return data.make_source('folder', path=folder)


def _mixture(folder):
  sections = [dict(name='folder', path=folder), dict(name='digits')]
  return data.make_source('mixture', sources=sections, weights=[1, 1])


@pytest.mark.parametrize('make', [_folder, _mixture])
@pytest.mark.parametrize('kind', KINDS)
def test_what_is_no_file_is_counted_named_and_replaced(kind, make, tmp_path):
  pairs.write_pictures(tmp_path, range(COUNT))
  (tmp_path / '002.png').unlink()
  KINDS[kind](tmp_path / '002.png')
  source = make(tmp_path)
  told = []

  def on_bad(name, reason):
    told.append(name)

  batches = data.train_batches(
    source, batch_size=64, seed=0, image_size=8, on_bad=on_bad
  )
  rows = [next(batches)['index'] for _ in range(4)]
  batches.close()
  assert told == [str(tmp_path / '002.png')]
  assert batches.bad == 1
  assert 2 not in np.concatenate(rows)
  (batch, *_) = data.eval_batches(
    source, batch_size=8, preprocessing=usual(8), on_bad=on_bad
  )
  assert batch['index'][:4].tolist() == [0, 1, -1, 3]
  with pytest.raises(UserError, match=r'002\.png cannot be read'):
    list(
      data.eval_batches(
        source, batch_size=8, preprocessing=usual(8), strict=True
      )
    )


@pytest.mark.parametrize('kind', KINDS)
def test_captions_that_are_no_file_are_counted(kind, tmp_path):
  pairs.section('folder', tmp_path)
  (tmp_path / '002.txt').unlink()
  KINDS[kind](tmp_path / '002.txt')
  source = data.make_source('folder', path=tmp_path, captions='txt')
  assert source.num_examples == pairs.COUNT - 1
  assert sum(source.skipped.values()) == 1


@pytest.mark.parametrize('ending', ['csv', 'tsv', 'jsonl'])
@pytest.mark.parametrize('kind', KINDS)
def test_a_table_leaves_out_and_counts_them(ending, kind, tmp_path):
  section = pairs.section(ending, tmp_path)
  (tmp_path / '002.png').unlink()
  KINDS[kind](tmp_path / '002.png')
  source = data.make_source(**section)
  assert source.num_examples == pairs.COUNT - 1
  assert sum(source.skipped.values()) == 1


@pytest.mark.parametrize(
  'name', ['x.csv', 'x.tsv', 'x.jsonl', 'x.tar', 'x.tfrecord']
)
@pytest.mark.parametrize('kind', ['pipe', 'socket', 'link to a pipe'])
def test_a_file_of_pairs_that_is_none_is_refused(name, kind, tmp_path):
  KINDS[kind](tmp_path / name)
  with pytest.raises(UserError, match='regular') as error:
    data.make_source(str(tmp_path / name))
  assert '\n' not in str(error.value)


def test_a_folder_that_cannot_be_listed_is_refused(tmp_path, monkeypatch):
  pairs.write_pictures(tmp_path, range(COUNT))
  (tmp_path / 'closed').mkdir()
  listing = os.scandir

  def scandir(path):
    if os.fspath(path).endswith('closed'):
      raise PermissionError(13, 'Permission denied', path)
    return listing(path)

  monkeypatch.setattr(os, 'scandir', scandir)
  with pytest.raises(UserError, match='closed cannot be read'):
    data.make_source(str(tmp_path))
