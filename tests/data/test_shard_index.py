import numpy as np

from jaxssl.data import byte_strings, shard_index
from jaxssl.data.byte_strings import ByteStrings
from jaxssl.data.captions import Captions
from jaxssl.data.shard_index import ShardIndex, coded, packed


def _index(names, labels, captions, **more):
  texts, codes = coded(labels)
  return ShardIndex(
    names=packed(names),
    places=np.arange(2 * len(names)).reshape(-1, 2),
    captions=Captions.from_texts(captions),
    labels=codes,
    label_texts=texts,
    **{'skipped': {}, **more},
  )


def test_joined_files_hold_the_records_of_each():
  parts = [
    _index(['a', ''], ['x', 'z'], [['1', '2'], ['3']], skipped={'f': ['q']}),
    _index([], [], [], skipped={'f': [], 'g': ['r']}, digest='d'),
    _index(
      ['caf\xe9', '\udcff'], ['a', 'x'], [['4'], ['5', '6']], group_bytes=7
    ),
  ]
  whole, sizes, digests = shard_index.joined(iter(parts))
  assert (sizes, digests) == ([2, 0, 2], ['', 'd', ''])
  assert [whole.name(i) for i in range(4)] == ['a', '', 'caf\xe9', '\udcff']
  labels = [whole.label_texts[code] for code in whole.labels.tolist()]
  assert labels == ['x', 'z', 'a', 'x']
  assert [whole.captions[i] for i in range(4)] == [
    ('1', '2'),
    ('3',),
    ('4',),
    ('5', '6'),
  ]
  assert whole.places.tolist() == [[0, 1], [2, 3]] * 2
  assert whole.skipped == {'f': ['q'], 'g': ['r']}
  assert whole.group_bytes == 7


def test_lines_are_what_joining_gives(monkeypatch):
  monkeypatch.setattr(byte_strings, '_AT_ONCE', 3)
  strings = [b'', b'a', b'bcd', b'', b'ef', b'\n', b'g' * 9, b'']
  packed_strings = ByteStrings.of(strings)
  for rows in ([], [0], [6], [2, 0, 7], list(range(8)), [5, 1, 6, 2, 3, 0]):
    lines = packed_strings.lines(np.array(rows, np.int64))
    assert lines.tobytes() == b'\n'.join(strings[row] for row in rows)
