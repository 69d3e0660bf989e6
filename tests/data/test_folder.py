import io
import os
import zlib

import numpy as np
from PIL import Image, ImageOps
import pytest

from jaxssl import data
from jaxssl.augment.preprocessing import usual
from jaxssl.data import decode, hold_out
from jaxssl.errors import UserError


def _picture(height=40, width=60):
  y, x = np.mgrid[:height, :width]
  waves = [128 + 100 * np.sin(x / (5 + c) + y / (9 - c)) for c in range(3)]
  return Image.fromarray(np.stack(waves, axis=-1).astype(np.uint8))


def _saved(image, kind, **options):
  stream = io.BytesIO()
  image.save(stream, kind, **options)
  return stream.getvalue()


def _exif(orientation):
  exif = Image.Exif()
  exif[0x0112] = orientation
  return exif


def _sixteen_bits():
  values = np.asarray(_picture().convert('L')).astype(np.uint16) * 257
  return Image.fromarray(values)


FORMATS = {
  'jpeg': lambda: _saved(_picture(), 'JPEG', quality=90),
  'jpeg_444_progressive': lambda: _saved(
    _picture(), 'JPEG', subsampling=0, progressive=True
  ),
  'jpeg_gray': lambda: _saved(_picture().convert('L'), 'JPEG'),
  'jpeg_cmyk': lambda: _saved(_picture().convert('CMYK'), 'JPEG'),
  'jpeg_upright': lambda: _saved(_picture(), 'JPEG', exif=_exif(1)),
  'jpeg_rotated': lambda: _saved(_picture(), 'JPEG', exif=_exif(6)),
  'png': lambda: _saved(_picture(), 'PNG'),
  'png_gray': lambda: _saved(_picture().convert('L'), 'PNG'),
  'png_rgba': lambda: _saved(_picture().convert('RGBA'), 'PNG'),
  'png_palette': lambda: _saved(_picture().quantize(16), 'PNG'),
  'png_rotated': lambda: _saved(_picture(), 'PNG', exif=_exif(3)),
  'webp': lambda: _saved(_picture(), 'WEBP'),
  'gif': lambda: _saved(
    _picture(), 'GIF', save_all=True, append_images=[_picture().rotate(90)]
  ),
  'bmp': lambda: _saved(_picture(), 'BMP'),
}


@pytest.mark.parametrize('kind', FORMATS)
def test_both_decoders_give_the_pixels_of_pillow(kind):
  import tensorflow as tf

  content = FORMATS[kind]()
  with Image.open(io.BytesIO(content)) as image:
    expected = np.asarray(ImageOps.exif_transpose(image).convert('RGB'))
  np.testing.assert_array_equal(decode.exact(content), expected)
  decoded = tf.function(
    lambda text: tf.cond(
      decode.plain_jpeg(text),
      lambda: decode.jpeg(text),
      lambda: decode.anything(text, max_pixels=10_000),
    ),
    autograph=False,
  )
  found = decoded(tf.constant(content))
  # Bit for bit: TensorFlow's accurate transform is libjpeg's, as in Pillow.
  np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
  ('kind', 'plain'),
  [
    ('jpeg', True),
    ('jpeg_gray', True),
    ('jpeg_444_progressive', True),
    ('jpeg_upright', True),
    ('jpeg_rotated', False),
    ('jpeg_cmyk', False),
    ('png', False),
  ],
)
def test_plain_jpeg_are_told_by_their_header(kind, plain):
  import tensorflow as tf

  decide = tf.function(decode.plain_jpeg, autograph=False)
  assert bool(decide(tf.constant(FORMATS[kind]()))) == plain


def test_sixteen_bits_keep_the_upper_byte():
  content = _saved(_sixteen_bits(), 'PNG')
  expected = np.asarray(_picture().convert('L'))
  for channel in np.moveaxis(decode.exact(content), -1, 0):
    np.testing.assert_array_equal(channel, expected)


def test_size_is_checked_before_decoding():
  import tensorflow as tf

  # The header claims 64 megapixels; there are hardly any behind it.
  header = bytearray(FORMATS['png']()[:60])
  header[16:24] = (8000).to_bytes(4, 'big') * 2
  header[29:33] = zlib.crc32(header[12:29]).to_bytes(4, 'big')
  with pytest.raises(decode.UnreadableError, match=r'more than max_pixels'):
    decode.exact(bytes(header))
  with pytest.raises(tf.errors.InvalidArgumentError, match=r'max_pixels'):
    decode.anything(bytes(header), max_pixels=decode.MAX_PIXELS)
  with pytest.raises(tf.errors.InvalidArgumentError, match=r'max_pixels'):
    decode.jpeg_size(FORMATS['jpeg'](), max_pixels=1000)


def _write(root, names):
  for name in names:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(FORMATS['jpeg']())


def _names(source):
  paths = source.fetch(np.arange(source.num_examples)).content
  return [os.path.basename(path).decode() for path in paths]


def test_subfolders_are_classes_when_every_picture_is_in_one(tmp_path):
  _write(tmp_path, ['dog/b.JPG', 'cat/x/a.jpeg', 'cat/c.jpg'])
  source = data.make_source(str(tmp_path))
  assert source.class_names == ('cat', 'dog')
  assert _names(source) == ['c.jpg', 'a.jpeg', 'b.JPG']
  assert source.fetch(np.arange(3)).label.tolist() == [0, 0, 1]


def test_a_picture_outside_the_subfolders_takes_all_labels(tmp_path):
  _write(tmp_path, ['dog/b.jpg', 'a.jpg'])
  source = data.make_source('folder', path=tmp_path)
  assert source.class_names is None
  assert source.fetch(np.arange(2)).label.tolist() == [-1, -1]


def test_hidden_and_other_files_and_loops_are_passed_over(tmp_path):
  _write(tmp_path, ['a.jpg', '.b.jpg', '.git/c.jpg', 'notes.txt'])
  (tmp_path / 'loop').symlink_to(tmp_path)
  assert _names(data.make_source(str(tmp_path))) == ['a.jpg']


def _number(folder, names):
  """Writes pictures that differ; one of the same number is a copy."""
  for name, number in names.items():
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_saved(Image.new('RGB', (8, 8), (number, 0, 0)), 'PNG'))


def _split(folder, name, share=0.25):
  return data.make_source(str(folder), split=name, test_fraction=share)


def test_hold_out_is_a_share_and_a_new_file_moves_at_most_one(tmp_path):
  _number(tmp_path, {f'{i}.png': i for i in range(40)})
  train, test = (set(_names(_split(tmp_path, s))) for s in ('train', 'test'))
  assert (len(train), len(test)) == (30, 10)
  assert not train & test
  assert _split(tmp_path, 'train').num_held_out == 10
  _number(tmp_path, {'new.png': 40})
  assert len(test - set(_names(_split(tmp_path, 'test')))) <= 1


def test_hold_out_takes_of_each_class_but_not_all(tmp_path):
  few = {'x/a.png': 0, 'x/b.png': 1, 'z/c.png': 2}
  _number(tmp_path, {**few, **{f'y/{i}.png': 10 + i for i in range(20)}})
  source = _split(tmp_path, 'test', 0.1)
  labels = source.fetch(np.arange(source.num_examples)).label
  assert np.bincount(labels).tolist() == [1, 2]  # of a single picture none


def test_hold_out_keeps_copies_together(tmp_path):
  _number(tmp_path, {f'{i}.png': i % 10 for i in range(40)})
  names = (_names(_split(tmp_path, split)) for split in ('train', 'test'))
  train, test = ({int(name[:-4]) % 10 for name in split} for split in names)
  assert test
  assert train | test == set(range(10))
  assert not train & test


def test_hold_out_of_very_many_reads_nothing(tmp_path, monkeypatch):
  monkeypatch.setattr(hold_out, '_MOST_READ', 3)
  monkeypatch.setattr(hold_out, '_digests', None)
  _number(tmp_path, {f'{i}.png': 0 for i in range(8)})
  assert _split(tmp_path, 'test').num_examples == 2


def test_subfolders_for_splits(tmp_path):
  _write(tmp_path, ['train/x/a.jpg', 'val/x/b.jpg'])
  assert _names(data.make_source(str(tmp_path))) == ['a.jpg']
  test = data.make_source(str(tmp_path), split='test')
  assert _names(test) == ['b.jpg']
  assert test.class_names == ('x',)


def test_empty_folder_and_empty_split_are_refused(tmp_path):
  with pytest.raises(UserError, match='no pictures'):
    data.make_source(str(tmp_path))
  _write(tmp_path, ['a.jpg'])
  with pytest.raises(UserError, match='test_fraction'):
    data.make_source(str(tmp_path), split='test')


def test_folder_without_a_readable_picture_is_refused(tmp_path):
  (tmp_path / 'a.jpg').write_bytes(b'no picture')
  with pytest.raises(UserError, match='can be read'):
    data.make_source(str(tmp_path))


def _cmyk(marker):
  """A CMYK JPEG that says who wrote it: Adobe, JFIF or nobody."""
  pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 4), np.uint8)
  content = _saved(Image.fromarray(pixels, 'CMYK'), 'JPEG')
  place = content.index(b'\xff\xee')
  size = int.from_bytes(content[place + 2 : place + 4], 'big')
  rest = content[2:place] + content[place + 2 + size :]
  header = b'\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00'
  return {
    'adobe': content,
    'jfif': b'\xff\xd8' + header + rest,
    'nobody': b'\xff\xd8' + rest,
  }[marker]


def _exif_behind(marker):
  """A rotation that is said after the frame or the tables, not before."""
  content = _saved(_picture(), 'JPEG')
  rotated = _saved(_picture(), 'JPEG', exif=_exif(6))
  start = rotated.index(b'\xff\xe1')
  size = int.from_bytes(rotated[start + 2 : start + 4], 'big')
  place = content.index(marker)
  segment = rotated[start : start + 2 + size]
  return content[:place] + segment + content[place:]


HEADERS = {
  'adobe': lambda: _cmyk('adobe'),
  'jfif': lambda: _cmyk('jfif'),
  'nobody': lambda: _cmyk('nobody'),
  'exif behind the header': lambda: _exif_behind(b'\xff\xdb'),
  'exif behind a table': lambda: _exif_behind(b'\xff\xc0'),
  'exif behind the frame': lambda: _exif_behind(b'\xff\xc4'),
}


@pytest.mark.parametrize('kind', HEADERS)
def test_a_header_with_more_in_it_gives_the_pixels_of_pillow(kind, tmp_path):
  content = HEADERS[kind]()
  (tmp_path / 'a.jpg').write_bytes(content)
  with Image.open(io.BytesIO(content)) as image:
    expected = np.asarray(ImageOps.exif_transpose(image).convert('RGB'))
  side = min(expected.shape[:2])
  (batch,) = data.eval_batches(
    data.make_source(str(tmp_path)),
    batch_size=1,
    preprocessing=usual(side, crop_fraction=1.0),
  )
  top, left = (round((s - side) / 2) for s in expected.shape[:2])
  np.testing.assert_array_equal(
    batch['image'][0], expected[top : top + side, left : left + side]
  )


def test_a_jpeg_that_is_cut_anywhere_is_unreadable(tmp_path):
  whole = _saved(_picture(), 'JPEG')
  # Every length of the header, and some of the pixels.
  lengths = [*range(700), len(whole) // 2]
  for number, length in enumerate(lengths, 1):
    (tmp_path / f'{number:04}.jpg').write_bytes(whole[:length])
  (tmp_path / '0000.jpg').write_bytes(whole)
  told = []
  batches = data.eval_batches(
    data.make_source(str(tmp_path)),
    batch_size=1024,
    preprocessing=usual(8),
    on_bad=lambda name, reason: told.append(name),
  )
  (batch,) = batches
  assert batch['mask'].sum() == 1
  assert len(told) == len(set(told)) == len(lengths)


def test_known_headers_are_told_without_python(monkeypatch):
  import tensorflow as tf

  def walk(header):
    raise AssertionError('a header that libjpeg writes')

  monkeypatch.setattr(decode, 'is_plain_jpeg', walk)
  decide = tf.function(decode.plain_jpeg, autograph=False)
  for kind in ('jpeg', 'jpeg_gray', 'jpeg_444_progressive'):
    assert bool(decide(tf.constant(FORMATS[kind]())))
