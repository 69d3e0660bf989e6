"""Formats that want a library of their own: read, or counted and named."""

import io
import json
import pathlib

import numpy as np
from PIL import Image
import pytest

from jaxssl import data
from jaxssl.data import decode, formats
from jaxssl.errors import UserError
from tests.data import pairs

# As they begin; what stands behind is never looked at where none is read.
BEGINNINGS = {
  'avif': b'\0\0\0 ftypavif\0\0\0\0',
  'heic': b'\0\0\0\x18ftypheic\0\0\0\0',
  'heif': b'\0\0\0\x18ftypmif1\0\0\0\0',
  'jxl': b'\xff\x0a\x07\x00',
}
NAMES = {'avif': 'AVIF', 'heic': 'HEIF', 'heif': 'HEIF', 'jxl': 'JXL'}
KINDS = (
  'folder',
  'folders',
  'list',
  'pattern',
  'sidecar',
  'tar',
  'tfrecord',
  'csv',
  'jsonl',
)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
  folder = tmp_path_factory.mktemp('cache')
  monkeypatch.setenv('XDG_CACHE_HOME', str(folder))


@pytest.fixture
def nothing_is_installed(monkeypatch):
  monkeypatch.setattr(formats, 'missing', lambda: ('AVIF', 'HEIF', 'JXL'))


def _write(kind, folder, pictures):
  """Writes pictures, name -> content, as a source; returns its section."""
  section = dict(name=str(folder), split='all')
  if kind == 'tar':
    members = [
      member
      for name, content in pictures.items()
      for member in ((name, content), (f'{name.split(".")[0]}.txt', b'a text'))
    ]
    return section | dict(name=str(pairs.write_tar(folder / 'p.tar', members)))
  if kind == 'tfrecord':
    records = [
      {'image': content, 'caption': b'a text', 'key': name.encode()}
      for name, content in pictures.items()
    ]
    path = pairs.write_tfrecord(folder / 'p.tfrecord', records)
    return section | dict(name=str(path))
  places = {name: folder / name for name in pictures}
  if kind == 'folders':
    places = {
      name: folder / f'part{i % 2}' / name for i, name in enumerate(places)
    }
    section['name'] = [str(folder / 'part0'), str(folder / 'part1')]
    for part in section['name']:
      pathlib.Path(part).mkdir()
  for name, path in places.items():
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(pictures[name])
  if kind == 'sidecar':
    for path in places.values():
      path.with_suffix('.txt').write_text('a text')
    section['captions'] = 'txt'
  if kind == 'pattern':
    section['name'] += '/*'
  lines = {
    'list': list(pictures),
    'csv': ['image,caption', *(f'{name},a text' for name in pictures)],
    'jsonl': [json.dumps({'image': n, 'caption': 'a text'}) for n in pictures],
  }
  if kind in lines:
    path = folder / f'pairs.{"txt" if kind == "list" else kind}'
    path.write_text('\n'.join(lines[kind]))
    section['name'] = str(path)
  return section


def _saved(kind, **options):
  pixels = np.random.default_rng(0).integers(0, 256, (24, 30, 3), np.uint8)
  smooth = Image.fromarray(pixels).resize((60, 48), Image.Resampling.BICUBIC)
  stream = io.BytesIO()
  smooth.save(stream, kind, **options)
  return stream.getvalue()


@pytest.mark.parametrize('kind', KINDS)
def test_what_is_not_read_is_counted_and_named(
  kind, tmp_path, caplog, nothing_is_installed
):
  pictures = {f'{i}.png': pairs.picture(i) for i in range(3)}
  for number, (ending, content) in enumerate(BEGINNINGS.items(), 3):
    pictures[f'{number}.{ending}'] = content
  source = data.make_source(**_write(kind, tmp_path, pictures))
  assert source.num_examples == 3
  left = {
    fault.split(',')[0]: count
    for fault, count in source.skipped.items()
    if count
  }
  assert left == {'AVIF': 1, 'HEIC': 2, 'JPEG XL': 1}
  (line,) = [r.getMessage() for r in caplog.records if 'HEIC' in r.getMessage()]
  assert '2 left out, HEIC, which pip install "jaxssl[formats]" reads:' in line
  assert ': 4' in line or '4.heic' in line


@pytest.mark.parametrize('kind', [k for k in KINDS if k != 'tfrecord'])
def test_formats_that_nothing_reads_are_counted_and_named(
  kind, tmp_path, caplog
):
  pictures = {f'{i}.png': pairs.picture(i) for i in range(3)}
  pictures |= {'3.jp2': b'\0\0\0\x0cjP  ', '4.SVG': b'<svg/>'}
  source = data.make_source(**_write(kind, tmp_path, pictures))
  assert source.num_examples == 3
  left = {fault.split(',')[0]: n for fault, n in source.skipped.items() if n}
  assert left == {'.jp2': 1, '.svg': 1}
  assert '1 left out, .jp2, a format that is not read' in caplog.text


def test_a_folder_of_formats_that_nothing_reads_says_so(tmp_path):
  (tmp_path / 'a.svg').write_text('<svg/>')
  with pytest.raises(UserError, match=r'no pictures; 1 are \.svg, a format'):
    data.make_source(name='folder', path=str(tmp_path))


@pytest.mark.parametrize('kind', KINDS)
def test_nothing_but_what_is_not_read_is_refused(
  kind, tmp_path, nothing_is_installed
):
  section = _write(kind, tmp_path, {'a.heic': BEGINNINGS['heic']})
  with pytest.raises(UserError, match='HEIC') as error:
    data.make_source(**section)
  assert '\n' not in str(error.value)


@pytest.mark.parametrize('ending', BEGINNINGS)
def test_a_picture_with_another_ending_says_what_it_is(
  ending, nothing_is_installed
):
  with pytest.raises(decode.UnreadableError, match=r'jaxssl\[formats\]'):
    decode.exact(BEGINNINGS[ending])


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('ending', ['tif', 'ppm', 'avif', 'heic', 'jxl'])
def test_every_source_gives_the_pixels_of_pillow(kind, ending, tmp_path):
  name = {'tif': 'TIFF', 'ppm': 'PPM'}.get(ending) or NAMES[ending]
  if name in formats.missing():
    pytest.skip(f'what reads {name} is not installed')
  content = _saved(name)
  source = data.make_source(**_write(kind, tmp_path, {f'a.{ending}': content}))
  batches = data.train_batches(source, batch_size=1, seed=0, image_size=48)
  found = next(batches)['image'][0]
  batches.close()
  with Image.open(io.BytesIO(content)) as image:
    middle = image.convert('RGB').crop((6, 0, 54, 48))
  np.testing.assert_array_equal(found, middle)


@pytest.mark.parametrize('options', [{}, {'compression': 'tiff_lzw'}])
def test_tiff_is_without_loss(options):
  with Image.open(io.BytesIO(_saved('PNG'))) as image:
    expected = np.asarray(image)
  found = decode.exact(_saved('TIFF', **options))
  np.testing.assert_array_equal(found, expected)


def test_fractions_without_a_range_are_no_picture():
  stream = io.BytesIO()
  Image.fromarray(np.zeros((8, 8), np.float32)).save(stream, 'TIFF')
  with pytest.raises(decode.UnreadableError, match='range'):
    decode.exact(stream.getvalue())


def test_libraries_that_are_not_there_are_missing(monkeypatch):
  monkeypatch.setattr(formats, '_is_there', lambda module: False)
  formats.missing.cache_clear()
  try:
    assert formats.missing() == ('AVIF', 'HEIF', 'JXL')
  finally:
    formats.missing.cache_clear()


def test_pictures_that_begin_alike_are_no_copies(tmp_path):
  """Uncompressed pictures with the same first rows."""
  for number in range(10):
    pixels = np.zeros((100, 100, 3), np.uint8)
    pixels[-1] = number
    Image.fromarray(pixels).save(tmp_path / f'{number}.bmp')
    Image.fromarray(pixels.transpose(1, 0, 2)).save(tmp_path / f'{number}t.tif')
  test = data.make_source(str(tmp_path), split='test', test_fraction=0.3)
  assert test.num_examples == 6
