"""Files that were cut, or whose bits were flipped, at random.

Each gives the records that it has, a loss that is counted, or one line that
says what is wrong. 300 mutations of each format; the seeds are fixed.
"""

import io
import json
import os
import re
import tarfile

import numpy as np
import pytest

from jaxssl import data
from jaxssl.errors import UserError
from tests.data import pairs

COUNT = 6
MUTATIONS = 300
LONG = 'a long name of more than a hundred letters ' * 3


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
  # Every mutation is another file, whose index need not outlive a power cut.
  monkeypatch.setattr(os, 'fsync', lambda _: None)


def _mutated(content, generator):
  """A file that was cut, has a hole, or up to four flipped bits."""
  kind = generator.integers(4)
  start = int(generator.integers(len(content)))
  if kind == 0:
    return content[:start]
  if kind == 1:
    return content[:start] + content[start + int(generator.integers(1, 600)) :]
  flipped = bytearray(content)
  for place in generator.integers(len(content), size=generator.integers(1, 5)):
    flipped[place] ^= 1 << int(generator.integers(8))
  return bytes(flipped)


def _opened(path, **arguments):
  """A source and '', or None and what is wrong with it."""
  try:
    return data.make_source(str(path), **arguments), ''
  except UserError as error:
    return None, str(error)


def _outcomes(path, check, **arguments):
  """Mutates a file again and again; returns how many were not refused."""
  whole = path.read_bytes()
  read = 0
  for seed in range(MUTATIONS):
    content = _mutated(whole, np.random.default_rng(seed))
    path.write_bytes(content)
    source, wrong = _opened(path, **arguments)
    assert '\n' not in wrong, seed
    if source is not None:
      check(source, content, seed)
      read += 1
  return read


def _left_out(source):
  return sum(source.skipped.values())


def _names(source):
  return [source.describe(i) for i in range(source.num_examples)]


def _write_tar(path, tar_format, prefix):
  with tarfile.open(path, 'w', format=tar_format) as file:
    for number in range(COUNT):
      for ending, content in (
        ('png', pairs.picture(number)),
        ('txt', pairs.texts(number)[0].encode()),
        ('json', json.dumps({'label': number % 2}).encode()),
      ):
        info = tarfile.TarInfo(f'{prefix}/{number}.{ending}')
        info.size = len(content)
        file.addfile(info, io.BytesIO(content))


@pytest.mark.parametrize('prefix', ['short', LONG])
@pytest.mark.parametrize(
  'tar_format', [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]
)
def test_tar(tar_format, prefix, tmp_path):
  path = tmp_path / 'a.tar'
  if tar_format == tarfile.USTAR_FORMAT:
    prefix = prefix[:80]
  _write_tar(path, tar_format, prefix)
  arguments = dict(label='json.label')
  whole = data.make_source(str(path), **arguments)
  names = _names(whole)
  pictures = dict(
    zip(names, whole.fetch(np.arange(COUNT)).content, strict=True)
  )

  def check(source, content, seed):
    found = _names(source)
    assert len(set(names) - set(found)) <= _left_out(source), seed
    records = source.fetch(np.arange(source.num_examples))
    for name, picture in zip(found, records.content, strict=True):
      # A tar file has no checksums of contents: bits may differ, no more.
      assert picture in content, seed
      assert name not in pictures or len(picture) == len(pictures[name]), seed

  read = _outcomes(path, check, **arguments)
  assert 30 < read < 250  # flips of contents; cuts and holes never


def test_tfrecord(tmp_path):
  records = [
    {
      'png': pairs.picture(i),
      'caption': pairs.texts(i)[0].encode(),
      'key': b'%d' % i,
      'label': i % 2,
    }
    for i in range(COUNT)
  ]
  path = pairs.write_tfrecord(tmp_path / 'a.tfrecord', records)

  def check(source, content, seed):
    found = source.fetch(np.arange(source.num_examples))
    # Cuts between two records would be the exception; none of the seeds is one.
    assert source.num_examples + _left_out(source) == COUNT, seed
    for i, picture in enumerate(found.content):
      number = int(_names(source)[i].rpartition(':')[2])
      assert picture == pairs.picture(number), seed
      assert source.captions[i] == (pairs.texts(number)[0],), seed
      assert source.class_names[found.label[i]] == str(number % 2), seed

  read = _outcomes(path, check, label='label')
  assert 100 < read < 200


def _csv_names(text):
  """The first cell of each line."""
  return [line.partition(',')[0] for line in text[1:]]


def _json_names(text):
  return [str(json.loads(line)['image'] or '') for line in text]


def _lines(kind):
  rows = [(f'{i:03}.png', pairs.texts(i)[0], i % 2) for i in range(COUNT)]
  if kind == 'csv':
    return ['image,caption,label', *(f'{i},"{t}",{c}' for i, t, c in rows)]
  keys = ('image', 'caption', 'label')
  return [json.dumps(dict(zip(keys, row, strict=True))) for row in rows]


@pytest.mark.parametrize(
  ('kind', 'names_of'), [('csv', _csv_names), ('jsonl', _json_names)]
)
def test_tables(kind, names_of, tmp_path):
  pairs.write_pictures(tmp_path, range(COUNT))
  path = tmp_path / f'a.{kind}'
  lines = _lines(kind)
  path.write_text('\n'.join(lines) + '\n')
  offset = len(lines) - COUNT

  def check(source, content, seed):
    text = [each for each in re.split(r'[\r\n]+', content.decode()) if each]
    names = [name.strip() for name in names_of(text)]
    # Every line is a record, or counted.
    assert len(set(names)) == source.num_examples + _left_out(source), seed
    for i, name in enumerate(_names(source)):
      number = int(name.rpartition('/')[2][:3])
      untouched = lines[number + offset] in text
      if untouched and names.count(f'{number:03}.png') == 1:
        assert source.captions[i] == (pairs.texts(number)[0],), seed

  read = _outcomes(path, check, label='label')
  assert 10 < read < 280


def test_kept_indices(tmp_path):
  """A cache that was harmed is made again, or is as good as the whole one."""
  path = tmp_path / 'a.tar'
  _write_tar(path, tarfile.PAX_FORMAT, 'short')
  whole = data.make_source(str(path), label='json.label')
  (kept,) = (tmp_path / 'cache' / 'jaxssl').iterdir()
  content = kept.read_bytes()
  for seed in range(MUTATIONS):
    kept.write_bytes(_mutated(content, np.random.default_rng(seed)))
    source = data.make_source(str(path), label='json.label')
    assert source.identity == whole.identity, seed
    assert source.skipped == whole.skipped, seed
