#!/usr/bin/env bash
# safetensors 0.8.0 with numpy 2.4.6 and ml_dtypes 0.6.0 (Python 3.11), seen on
# 2026-11-28.
#
# A valid file with 8-bit floats cannot be read through NumPy, though bfloat16,
# which NumPy lacks as well, can.
#
# One would guess: read as ml_dtypes' float8_e4m3fn, as bfloat16 is read as
# ml_dtypes' bfloat16; or an error that names the type.
# Seen: AttributeError: module 'numpy' has no attribute 'float8_e4m3fn'. It is
# no SafetensorError, so who catches those gets a traceback.
#
# Exits with 0 as long as this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m pip install --quiet --disable-pip-version-check \
  --target "$folder/site" safetensors==0.8.0 numpy==2.4.6 ml_dtypes==0.6.0
cd "$folder"
PYTHONPATH=$folder/site "${PYTHON:-python3}" - <<'PY'
import json
import struct

import ml_dtypes
import numpy as np
from safetensors import safe_open


def write(dtype, array):
  entry = {'dtype': dtype, 'shape': array.shape, 'data_offsets': [0, array.nbytes]}
  text = json.dumps({'a': entry}).encode()
  with open('a.safetensors', 'wb') as file:
    file.write(struct.pack('<Q', len(text)) + text + array.tobytes())


def read():
  with safe_open('a.safetensors', framework='numpy') as file:
    return file.get_tensor('a')


write('BF16', np.arange(4).astype(ml_dtypes.bfloat16))
assert read().dtype == ml_dtypes.bfloat16
write('F8_E4M3', np.arange(4).astype(ml_dtypes.float8_e4m3fn))
try:
  read()
except AttributeError as error:
  print('F8_E4M3:', error)
  assert 'float8_e4m3fn' in str(error)
else:
  raise SystemExit('it is read now')
PY
