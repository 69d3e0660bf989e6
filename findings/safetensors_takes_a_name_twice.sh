#!/usr/bin/env bash
# safetensors 0.8.0 (numpy 2.4.6, Python 3.11), seen on 2026-11-28.
#
# A header that names a tensor twice is taken, and one of the two is gone.
#
# One would guess: refused. The reader is strict about everything else of the
# header (holes, overlaps, bytes that no tensor owns, wrong sizes), and the
# format says that keys are unique.
# Seen: the file opens, has one tensor of that name, and the second entry wins.
#
# Exits with 0 as long as this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m pip install --quiet --disable-pip-version-check \
  --target "$folder/site" safetensors==0.8.0 numpy==2.4.6
cd "$folder"
PYTHONPATH=$folder/site "${PYTHON:-python3}" - <<'PY'
import struct

import numpy as np
from safetensors import safe_open

ENTRY = '"a": {"dtype": "F32", "shape": [%d], "data_offsets": [0, %d]}'
data = np.arange(4, dtype='<f4')


def write(entries):
  text = ('{%s}' % ', '.join(ENTRY % (n, 4 * n) for n in entries)).encode()
  with open('a.safetensors', 'wb') as file:
    file.write(struct.pack('<Q', len(text)) + text + data.tobytes())


def read():
  with safe_open('a.safetensors', framework='numpy') as file:
    return {name: file.get_tensor(name) for name in file.keys()}


write([4])
assert np.array_equal(read()['a'], data)
# The same entry twice: the last one tiles the data, so that all else is right.
write([3, 4])
found = read()
print('two entries, read:', {name: a.shape for name, a in found.items()})
assert list(found) == ['a'] and found['a'].shape == (4,)
PY
