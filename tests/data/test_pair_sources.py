"""Sources of image-text pairs: what they hold, skip and refuse."""

import os
import tarfile

import chex
import numpy as np
import pytest

from jaxssl import data
from jaxssl.data import shards, tar
from jaxssl.errors import UserError
from jaxssl.text import make_tokenizer
from tests.data import pairs

COUNT = pairs.COUNT


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
  return tmp_path / 'cache' / 'jaxssl'


def _take(batches, count):
  taken = [next(batches) for _ in range(count)]
  batches.close()
  return taken


@pytest.mark.parametrize('kind', pairs.KINDS)
def test_pictures_keep_their_texts(kind, tmp_path):
  source = data.make_source(**pairs.section(kind, tmp_path))
  copies = 2 if kind == 'mixture' else 1
  assert source.num_examples == copies * COUNT
  assert source.captions[3] == tuple(pairs.texts(3))
  tokenizer = make_tokenizer(length=24)
  options = dict(
    batch_size=4, seed=3, image_size=12, encode_text=tokenizer.encode
  )
  for batch in _take(data.train_batches(source, **options), 6):
    chex.assert_shape(batch['text'], (4, 24))
    for pixels, ids in zip(batch['image'], batch['text'], strict=True):
      expected = tokenizer.encode(pairs.texts(pairs.number_of(pixels)))
      assert (expected == ids).all(axis=1).any()


def test_photos_have_captions_of_their_pictures():
  source = data.make_source('photos', crops_per_picture=2)
  names = source.class_names
  labels = source.fetch(np.arange(source.num_examples)).label
  assert len(source.captions) == len(labels)
  assert all(len(source.captions[i]) >= 4 for i in range(len(labels)))
  cat = int(np.flatnonzero(labels == names.index('cat'))[0])
  assert 'a photo of a cat' in source.captions[cat]


def test_text_of_a_source_without_captions_is_refused():
  source = data.Arrays(np.zeros((2, 4, 4, 3), np.uint8))
  with pytest.raises(UserError, match='has no captions'):
    data.train_batches(
      source, batch_size=2, seed=0, encode_text=make_tokenizer().encode
    )


def test_a_row_that_is_mended_keeps_its_text(tmp_path):
  members = [m for number in range(4) for m in pairs.record(number)]
  members[3] = (members[3][0], b'no picture')
  source = data.make_source(str(pairs.write_tar(tmp_path / 'a.tar', members)))
  tokenizer = make_tokenizer(length=16)
  batches = data.train_batches(
    source,
    batch_size=4,
    seed=0,
    image_size=12,
    encode_text=tokenizer.encode,
    on_bad=lambda *_: None,
  )
  (batch,) = _take(batches, 1)
  assert batches.bad == 1
  for pixels, ids in zip(batch['image'], batch['text'], strict=True):
    text = pairs.texts(pairs.number_of(pixels))[0]
    np.testing.assert_array_equal(tokenizer.encode([text])[0], ids)


def test_tar_skips_what_is_no_pair_and_counts_it(tmp_path, caplog, monkeypatch):
  monkeypatch.setattr(tar, 'MAX_TEXT_BYTES', 1000)
  link = tarfile.TarInfo('c.png')
  link.type, link.linkname = tarfile.SYMTYPE, 'a.png'
  members = [
    *pairs.record(0),
    ('only.png', pairs.picture(1)),
    ('blank.png', pairs.picture(2)),
    ('blank.txt', b' \n'),
    ('alone.txt', b'a caption'),
    ('long.png', pairs.picture(3)),
    ('long.txt', b'x' * 1001),
    ('._a.png', b'resource fork'),
    ('notes.md', b'text'),
    link,
    ('c.txt', b'of a link'),
  ]
  path = pairs.write_tar(tmp_path / 'a.tar', members)
  source = data.make_source(str(path))
  assert source.num_examples == 1
  assert source.skipped == {
    shards.NO_CAPTION: 3,
    shards.NO_PICTURE: 2,
    shards.TOO_LARGE: 1,
  }
  text = ' '.join(caplog.messages)
  assert '3 left out, pictures without a caption: only, blank, long' in text
  assert 'alone' in text
  assert 'long.txt' in text


@pytest.mark.parametrize('name', ['../a.png', '/a.png', 'x/../../a.png'])
def test_members_that_point_out_of_the_file_are_refused(name, tmp_path):
  path = pairs.write_tar(tmp_path / 'a.tar', [(name, b''), *pairs.record(0)])
  with pytest.raises(UserError, match='points out of the file'):
    data.make_source(str(path))


def test_a_member_twice_is_refused(tmp_path):
  path = pairs.write_tar(tmp_path / 'a.tar', pairs.record(0) * 2)
  with pytest.raises(UserError, match='two members'):
    data.make_source(str(path))


def test_damaged_tar_files_are_told(tmp_path):
  whole = pairs.write_tar(
    tmp_path / 'a.tar', [*pairs.record(0), ('b.png', b'x' * 5000)]
  ).read_bytes()
  for content in (whole[:4000], b'no tar' * 200, b'\x1f\x8b' + bytes(600)):
    path = tmp_path / 'b.tar'
    path.write_bytes(content)
    with pytest.raises(UserError, match=r'b\.tar'):
      data.make_source(str(path))


def test_json_that_is_none_is_no_caption(tmp_path):
  members = [
    ('a.png', pairs.picture(0)),
    ('a.json', b'{"tags": ["x", 3, null, ""]}'),
    ('b.png', pairs.picture(1)),
    ('b.json', b'[' * 100_000),
    ('c.png', pairs.picture(2)),
    ('c.json', b'["tags"]'),
  ]
  path = pairs.write_tar(tmp_path / 'a.tar', members)
  source = data.make_source('tar', path=str(path), captions=('json.tags',))
  assert source.num_examples == 1
  assert source.captions[0] == ('x', '3')
  assert source.skipped[shards.NO_CAPTION] == 2


def test_labels_are_names_or_numbers(tmp_path):
  members = [m for number in range(4) for m in pairs.record(number)]
  members += [(f'part/{i:03}.cls', str(2 * i).encode()) for i in range(3)]
  path = pairs.write_tar(tmp_path / 'a.tar', members)
  for label, names, expected in (
    ('json.group', ('even', 'odd'), [0, 1, 0, 1]),
    ('cls', tuple('01234'), [0, 2, 4, -1]),
  ):
    source = data.make_source('tar', path=str(path), label=label)
    assert source.class_names == names
    assert source.fetch(np.arange(4)).label.tolist() == expected


def test_the_index_is_kept_until_the_file_changes(tmp_path, cache, monkeypatch):
  path = pairs.write_tar(tmp_path / 'a.tar', pairs.record(0))
  first = data.make_source(str(path))
  (kept,) = cache.iterdir()
  with monkeypatch.context() as patched:
    patched.setattr(tar, '_records', None)
    again = data.make_source(str(path))
  assert again.fingerprint == first.fingerprint
  assert again.captions[0] == first.captions[0]
  kept.write_bytes(kept.read_bytes()[:100])
  assert data.make_source(str(path)).fingerprint == first.fingerprint
  pairs.write_tar(path, [*pairs.record(0), *pairs.record(1)])
  assert data.make_source(str(path)).num_examples == 2


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path, cache, caplog):
  cache.parent.mkdir()
  cache.write_text('a file, no folder')
  path = pairs.write_tar(tmp_path / 'a.tar', pairs.record(0))
  assert data.make_source(str(path)).num_examples == 1
  assert 'is not kept' in caplog.text


def test_splits_part_the_records(tmp_path):
  section = pairs.section('tar', tmp_path)
  names = {}
  for split in ('train', 'test', 'all'):
    source = data.make_source(**section, split=split, test_fraction=0.4)
    numbers = range(source.num_examples)
    names[split] = {source.describe(i) for i in numbers}
    content = source.fetch(np.arange(source.num_examples)).content
    for i in numbers:
      number = int(source.describe(i)[-3:])
      assert source.captions[i] == tuple(pairs.texts(number))
      assert content[i] == pairs.picture(number)
  assert names['train'] | names['test'] == names['all']
  assert not names['train'] & names['test']


def test_tfrecord_skips_what_is_no_pair(tmp_path):
  records = [
    {'png': pairs.picture(0), 'caption': b'a', 'key': b'0'},
    {'png': pairs.picture(1), 'key': b'1'},
    {'caption': b'c'},
  ]
  path = pairs.write_tfrecord(tmp_path / 'a.tfrecord', records)
  source = data.make_source(str(path))
  assert source.skipped == {shards.NO_CAPTION: 1, shards.NO_PICTURE: 1}
  assert source.fetch(np.array([0])).content[0] == pairs.picture(0)
  path.write_bytes(path.read_bytes()[:-10])
  with pytest.raises(UserError, match='cut short'):
    data.make_source(str(path))


def test_table_skips_what_is_no_pair(tmp_path):
  pairs.write_pictures(tmp_path, range(2))
  path = tmp_path / 'a.csv'
  rows = ['caption,image,kind', 'a,000.png,x', ',001.png,y', 'c,no.png,x', 'd']
  path.write_text('\n'.join(rows))
  source = data.make_source(str(path), label='kind')
  assert source.num_examples == 1
  assert source.skipped == {shards.NO_CAPTION: 1, shards.NO_PICTURE: 2}
  assert os.path.basename(source.describe(0)) == '000.png'
  assert source.class_names[source.fetch(np.array([0])).label[0]] == 'x'


def test_folder_skips_pictures_without_text(tmp_path, caplog):
  pairs.write_pictures(tmp_path, range(3))
  (tmp_path / '000.txt').write_text('one\n\ntwo\n')
  (tmp_path / '001.txt').write_text(' \n')
  (tmp_path / 'alone.txt').write_text('x')
  source = data.make_source('folder', path=tmp_path, captions='txt')
  assert source.num_examples == 1
  assert source.captions[0] == ('one', 'two')
  assert '2 left out, pictures without a caption' in caplog.text
  assert 'captions without a picture: alone.txt' in caplog.text


@pytest.mark.parametrize(
  ('file', 'content', 'arguments', 'message'),
  [
    ('a.csv', 'image,title\n', {}, "'caption'|no line"),
    ('a.csv', 'image,title\nx,y\n', {}, 'unknown column'),
    ('a.csv', 'image,caption\nx,y\n', {}, 'no line has both'),
    ('a.csv', '\udcff', {}, 'cannot be read'),
    ('a.csv', 'image,caption\nx,a cat, a dog\n', {}, 'line 2: 3 cells for 2'),
    ('a.tsv', 'image\tcaption\nx\t"y\nz\tw\n', {}, 'see to its quotes'),
    (
      'a.csv',
      'image,caption\nx,"y"z\n',
      {},
      'after line 1: .* its quotes',
    ),
    ('a.jsonl', '{"image": 3\n', {}, 'line 1'),
    ('a.jsonl', '[1]\n', {}, 'no JSON object'),
    ('a.csv', 'image,caption\n', {'split': 'val'}, 'unknown split'),
    ('a.csv', 'image,caption\n', {'test_fraction': 2}, 'test_fraction'),
    ('a.csv', 'image,caption\n', {'captoins': 'x'}, "did you mean 'captions'"),
  ],
)
def test_mistakes_are_told_in_one_line(
  file, content, arguments, message, tmp_path
):
  path = tmp_path / file
  path.write_bytes(content.encode(errors='surrogateescape'))
  with pytest.raises(UserError, match=message) as error:
    data.make_source(str(path), **arguments)
  assert '\n' not in str(error.value)


def test_a_missing_file_is_told(tmp_path):
  for name in ('no.tar', 'no.csv', 'no-{0..3}.tfrecord'):
    with pytest.raises(UserError, match='no'):
      data.make_source(str(tmp_path / name))
