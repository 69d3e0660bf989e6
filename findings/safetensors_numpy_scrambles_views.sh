#!/usr/bin/env bash
# safetensors 0.8.0 with numpy 2.4.6 (Python 3.11), seen on 2026-11-29.
#
# `safetensors.numpy.save` and `save_file` of an array that is a view: a
# transposed kernel, an array in Fortran's order, a reversed or a strided one.
# Whoever turns weights of one library into those of another saves such views.
#
# One would guess: the numbers of the array, as np.save writes them; or the
# error that safetensors.torch raises for tensors that are not contiguous.
# Seen: the file has the right shape and type, and the numbers of the memory
# below the view in the wrong places. No warning. `safetensors.flax` makes a
# contiguous copy first and is right.
#
# Exits with 0 as long as this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m pip install --quiet --disable-pip-version-check \
  --target "$folder/site" safetensors==0.8.0 numpy==2.4.6
cd "$folder"
PYTHONPATH=$folder/site "${PYTHON:-python3}" - <<'PY'
import numpy as np
from safetensors.numpy import load, load_file, save, save_file

kernel = np.arange(6, dtype=np.float32).reshape(2, 3)


def comes_back(array):
  found = load(save({'x': array}))['x']
  assert found.shape == array.shape and found.dtype == array.dtype
  return np.array_equal(found, array)


views = {
  'transposed': kernel.T,
  'Fortran order': np.asfortranarray(kernel),
  'every second column': kernel[:, ::2],
}
assert comes_back(kernel)
for name, view in views.items():
  print(name, 'comes back:', comes_back(view))
  assert not comes_back(view)
  assert comes_back(np.ascontiguousarray(view))
save_file({'x': kernel.T}, 'kernel.safetensors')
assert np.array_equal(
  load_file('kernel.safetensors')['x'], kernel.reshape(3, 2)
)
PY
