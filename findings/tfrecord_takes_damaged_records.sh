#!/usr/bin/env bash
# tfrecord 1.14.6 (crc32c 2.9, protobuf 7.36.2, NumPy 2.4.6, Python 3.11), seen
# on 2026-11-29.
#
# A record whose content was damaged is read without an error.
#
# One would guess: verified. Each record of a TFRecord file carries a checksum of
# its data, the package depends on a library for it and writes it.
# Seen: its reader steps over the checksums. A flipped bit of a picture comes back
# as another picture. TensorFlow's own reader raises DataLossError.
#
# Exits with 0 as long as this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m pip install --quiet --disable-pip-version-check \
  --target "$folder/site" tfrecord==1.14.6 crc32c==2.9.post0 \
  protobuf==7.36.2 numpy==2.4.6
cd "$folder"
PYTHONPATH=$folder/site "${PYTHON:-python3}" - <<'PY'
import pathlib

import tfrecord

path = pathlib.Path('a.tfrecord')
writer = tfrecord.TFRecordWriter(str(path))
for number in range(3):
  writer.write({'image': (bytes([number]) * 2000, 'byte')})
writer.close()
content = bytearray(path.read_bytes())
content[content.index(bytes([1]) * 100) + 50] ^= 64
path.write_bytes(content)
records = tfrecord.tfrecord_loader(str(path), None)
found = [set(bytes(record['image'])) for record in records]
print(found)
raise SystemExit(0 if found == [{0}, {1, 65}, {2}] else 1)
PY
