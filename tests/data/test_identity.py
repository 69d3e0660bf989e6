"""What tells the data of one day from those of another, in every source."""

import os
import shutil

import numpy as np
import pytest

from jaxssl import data
from jaxssl.data import identity
from tests import object_store
from tests.data import pairs, tiny_tfds


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
  # Pictures whose pixels lie in the file as they are, so that others fit in.
  png = pairs.picture
  monkeypatch.setattr(pairs, 'picture', lambda number: png(number, 'BMP'))


def _classes(folder):
  for number in range(4):
    place = folder / f'class {number % 2}'
    place.mkdir(exist_ok=True)
    pairs.write_pictures(place, [number])
  return dict(name=str(folder))


def _tfds(file_format):
  def make(folder):
    tiny_tfds.prepare(folder, file_format)
    return dict(name='tiny_pictures', data_dir=str(folder))

  return make


def _mixture(folder):
  (folder / 'classes').mkdir()
  section = pairs.section('mixture', folder)
  section['sources'].append(_classes(folder / 'classes'))
  return section


SOURCES = {
  'classes': _classes,
  'mixture': _mixture,
  'tfds_tfrecord': _tfds('tfrecord'),
  'tfds_array_record': _tfds('array_record'),
} | {
  kind: lambda folder, kind=kind: pairs.section(kind, folder)
  for kind in pairs.KINDS
  if kind != 'mixture'
}


def _moved(value, old, new):
  """The section of a copy of the files."""
  if isinstance(value, dict):
    return {key: _moved(each, old, new) for key, each in value.items()}
  if isinstance(value, list):
    return [_moved(each, old, new) for each in value]
  return value.replace(old, new) if isinstance(value, str) else value


def _written_at(folder, seconds):
  for path in folder.rglob('*'):
    os.utime(path, (seconds, seconds))


def _made(kind, tmp_path):
  """Folder and section of a source of some kind."""
  folder = tmp_path / 'here'
  folder.mkdir()
  section = SOURCES[kind](folder)
  _written_at(folder, 1_000_000)
  return folder, section


@pytest.mark.parametrize('kind', SOURCES)
def test_a_copy_is_the_same_data_and_a_touched_file_is_told(kind, tmp_path):
  folder, section = _made(kind, tmp_path)
  first = data.make_source(**section)
  again = data.make_source(**section)
  assert first.fingerprint == again.fingerprint
  shutil.copytree(folder, tmp_path / 'there')
  _written_at(tmp_path / 'there', 2_000_000)
  there = _moved(section, str(folder), str(tmp_path / 'there'))
  copy = data.make_source(**there)
  assert copy.identity == first.identity
  assert copy.fingerprint != first.fingerprint


# Array records are read from a disk only.
@pytest.mark.parametrize(
  'kind', [k for k in SOURCES if k != 'tfds_array_record']
)
def test_a_store_holds_the_same_data(kind, tmp_path):
  folder, section = _made(kind, tmp_path)
  with object_store.running():
    target = object_store.upload(folder, 'bucket/data')
    there = data.make_source(**_moved(section, str(folder), target))
    again = data.make_source(**_moved(section, str(folder), target))
    assert there.fingerprint == again.fingerprint
    assert there.identity == data.make_source(**section).identity
    for path in sorted(folder.rglob('*')):
      if path.is_file():  # as long as before, and of another generation
        object_store.put(
          f'bucket/data/{path.relative_to(folder)}', path.read_bytes()
        )
    later = data.make_source(**_moved(section, str(folder), target))
    assert later.identity == there.identity
    assert later.fingerprint != there.fingerprint


def _source_of(section, folder):
  """A source of a kind of pairs, whose files are as old as all others."""
  shutil.rmtree(folder, ignore_errors=True)
  folder.mkdir()
  section = section(folder)
  _written_at(folder, 1_000_000)
  return data.make_source(**section)


@pytest.mark.parametrize('kind', [*pairs.KINDS, 'classes'])
def test_other_pixels_of_one_picture_are_seen(kind, tmp_path, monkeypatch):
  one = _source_of(SOURCES[kind], tmp_path / 'data').identity
  assert one == _source_of(SOURCES[kind], tmp_path / 'data').identity
  color = pairs.color
  monkeypatch.setattr(
    pairs, 'color', lambda n: (9, 9, 9) if n == 3 else color(n)
  )
  assert one != _source_of(SOURCES[kind], tmp_path / 'data').identity


@pytest.mark.parametrize('file_format', ['tfrecord', 'array_record'])
def test_other_pixels_of_a_prepared_set_are_seen(
  file_format, tmp_path, monkeypatch
):
  sources = []
  for images in (tiny_tfds.IMAGES, 255 - tiny_tfds.IMAGES):
    monkeypatch.setattr(tiny_tfds, 'IMAGES', images)
    folder = tmp_path / str(len(sources))
    folder.mkdir()
    tiny_tfds.prepare(folder, file_format)
    _written_at(folder, 1_000_000)
    sources.append(data.make_source('tiny_pictures', data_dir=str(folder)))
  assert sources[0].identity != sources[1].identity


def test_names_of_classes_count(tmp_path):
  sources = []
  for names in ('ab', 'ac'):
    for name in names:
      (tmp_path / names / name).mkdir(parents=True)
      pairs.write_pictures(tmp_path / names / name, [0])
    sources.append(data.make_source(str(tmp_path / names)))
  assert sources[0].identity != sources[1].identity


def test_large_data_are_not_read_at_the_start():
  asked = []

  def read(size):
    def read_some(indices):
      asked.extend(indices.tolist())
      return [bytes(size)] * len(indices)

    return read_some

  identity.of_sample(10_000, read(10))
  assert len(set(asked)) == len(asked) == 256
  assert max(asked) > 9_000
  asked.clear()
  identity.of_sample(10_000, read(10_000_000))
  assert len(asked) <= 32
  asked.clear()
  identity.of_sample(7, read(10))
  np.testing.assert_array_equal(sorted(asked), range(7))
