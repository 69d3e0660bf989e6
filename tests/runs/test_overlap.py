"""Copies are known by their content, whatever they are called and lie in."""

import numpy as np
import pytest

from jaxssl import data
from jaxssl.data import copies
from jaxssl.runs.overlap import Overlap, warn
from tests.data import pairs


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
  folder = tmp_path_factory.mktemp('cache')
  monkeypatch.setenv('XDG_CACHE_HOME', str(folder))


@pytest.fixture
def other(tmp_path):
  """A folder with three of the pictures under other names, and one more."""
  folder = tmp_path / 'other'
  folder.mkdir()
  for number in (1, 4, 6, 30):
    (folder / f'copy of {number}.png').write_bytes(pairs.picture(number))
  return data.make_source(str(folder))


@pytest.mark.parametrize('kind', pairs.KINDS)
def test_copies_in_another_source_are_counted(kind, tmp_path, other):
  folder = tmp_path / kind
  folder.mkdir()
  source = data.make_source(**pairs.section(kind, folder))
  compared = Overlap()
  assert compared.num_shared(source, other) == 3
  assert compared.by_content
  assert compared.num_shared(other, source) == (6 if kind == 'mixture' else 3)


def test_of_very_many_only_names_are_compared(tmp_path, other, monkeypatch):
  monkeypatch.setattr(copies, 'MOST_READ', 3)
  pairs.write_pictures(tmp_path, range(4))
  compared = Overlap()
  source = data.make_source(str(tmp_path), split='all')  # and `other` below it
  assert compared.num_shared(source, other) == 4
  assert not compared.by_content
  assert compared.twice(source) is None
  apart = data.make_source(f'{tmp_path}/*.png')
  assert compared.num_shared(apart, other) == 0


def test_pictures_that_are_there_twice_are_counted_and_named(tmp_path):
  pairs.write_pictures(tmp_path, range(5))
  for name, number in (('a', 0), ('b', 0), ('c', 3)):
    (tmp_path / f'{name}.png').write_bytes(pairs.picture(number))
  found = copies.of(data.make_source(str(tmp_path)))
  assert found is not None
  assert found.count == 2
  assert found.examples == (
    f'{tmp_path}/000.png = {tmp_path}/a.png',
    f'{tmp_path}/003.png = {tmp_path}/c.png',
  )
  assert str(found).startswith(
    f'2 pictures appear more than once, e.g. {tmp_path}/000.png = '
  )
  assert not str(copies.Copies(count=0, examples=()))


def test_arrays_are_compared_by_their_pixels():
  pixels = np.arange(5 * 4 * 4 * 3, dtype=np.uint8).reshape(5, 4, 4, 3)
  first = data.Arrays(pixels[[0, 1, 2, 0]], name='first')
  second = data.Arrays(pixels[[3, 2]], name='second')
  assert Overlap().num_shared(first, second) == 1
  found = Overlap().twice(first, second)
  assert found is not None
  assert found.examples == ('first[0] = first[3]', 'first[2] = second[1]')


def test_what_cannot_be_read_is_no_copy(tmp_path):
  pairs.write_pictures(tmp_path, range(2))
  for name in ('x.png', 'y.png'):
    (tmp_path / name).touch()
  found = copies.of(data.make_source(str(tmp_path)))
  assert found is not None
  assert found.count == 0


@pytest.mark.parametrize(
  ('shared', 'told'),
  [
    (0, ''),
    (23, 'may add 1.9 points'),
    (1100, 'so the numbers say little; give a --test_split'),
  ],
)
def test_what_a_number_is_worth_less_for_is_measured(shared, told, caplog):
  warn(shared=shared, trained_on=None, num_test=1216)
  assert told in caplog.text
  assert bool(caplog.text) == bool(shared)
