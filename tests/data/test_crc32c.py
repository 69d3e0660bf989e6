import numpy as np
import pytest

from jaxssl.data import crc32c


def _bit_by_bit(data):
  """The definition, RFC 3720."""
  crc = 0xFFFFFFFF
  for byte in data:
    crc ^= byte
    for _ in range(8):
      crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
  return crc ^ 0xFFFFFFFF


@pytest.mark.parametrize(
  ('data', 'expected'),
  [
    (b'', 0),
    (b'123456789', 0xE3069283),
    # Examples of RFC 3720, appendix B.4.
    (bytes(32), 0x8A9136AA),
    (b'\xff' * 32, 0x62A8AB43),
    (bytes(range(32)), 0x46DD794E),
    (bytes(range(31, -1, -1)), 0x113FDB5C),
  ],
)
def test_published_checksums(data, expected):
  assert crc32c.crc32c(data) == expected


@pytest.mark.parametrize(
  'length', [1, 3, 4, 5, 63, 64, 65, 127, 128, 129, 191, 192, 193, 1000, 4099]
)
def test_every_length_is_what_the_definition_gives(length):
  data = np.random.default_rng(length).integers(0, 256, length, np.uint8)
  assert crc32c.crc32c(data.tobytes()) == _bit_by_bit(data.tolist())


def test_rows_are_like_each_alone():
  rows = np.random.default_rng(0).integers(0, 256, (5, 8), np.uint8)
  expected = [crc32c.masked(crc32c.crc32c(row.tobytes())) for row in rows]
  assert crc32c.masked_of_rows(rows).tolist() == expected


def test_checksums_are_those_of_tensorflow(tmp_path):
  import tensorflow as tf

  data = np.random.default_rng(0).integers(0, 256, 3000, np.uint8).tobytes()
  with tf.io.TFRecordWriter(str(tmp_path / 'a')) as writer:
    writer.write(data)
  content = (tmp_path / 'a').read_bytes()
  stored = np.frombuffer(content[8:12] + content[-4:], '<u4').tolist()
  expected = [crc32c.crc32c(content[:8]), crc32c.crc32c(data)]
  assert stored == [crc32c.masked(crc) for crc in expected]
