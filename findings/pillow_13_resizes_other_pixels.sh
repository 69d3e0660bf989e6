#!/usr/bin/env bash
# Pillow 13 resizes the same picture to other pixels than Pillow 12.
#
# What one would guess: `Image.resize(size, BICUBIC)` is a fixed function of
# pixels, size and filter. Libraries of this field pin their preprocessing to it
# ("what torchvision makes of a Pillow image, bit for bit").
#
# What was seen (2026-11-28, Pillow 12.2.0 and 13.0.0, NumPy 2.3.5, Python 3.11,
# x86-64): up to 12.2 rows are resized before columns, always. 13.0 resizes
# columns first where the picture in between is smaller then (by a quarter; by a
# sixth it is not yet done). Pillow rounds to 8 bits between the two, so the
# order is seen: of noise of 300 x 400 pixels (width x height), resized to
# 224 x 224, a quarter of the numbers differ, by up to 9 of 255. Wide pictures
# (400 x 300) are the same in both, and so are pictures whose shape is kept
# (300 x 400 to 192 x 256). Tall boxes that are made square are not: those of
# RandomResizedCrop, and whole pictures where they are squashed.
#
# Exits with 0 if this is so, with another code if it has changed.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
for version in 12.2.0 13.0.0; do
  python3 -m pip install --quiet --target "$work/$version" \
    "pillow==$version" numpy==2.3.5
done

cat > "$work/resize.py" <<'PY'
import sys

import numpy as np
from PIL import Image, __version__

noise = np.random.default_rng(0).integers(0, 256, (400, 300, 3), np.uint8)
BICUBIC = Image.Resampling.BICUBIC
SHAPES = {
  'tall': (noise, (224, 224)),
  'wide': (noise.swapaxes(0, 1), (224, 224)),
  'kept': (noise, (192, 256)),
}
found = {}
for name, (pixels, size) in SHAPES.items():
  image = Image.fromarray(np.ascontiguousarray(pixels))
  found[name] = np.asarray(image.resize(size, BICUBIC))
  # One axis at a time leaves no choice of the order.
  width, height = size
  rows = image.resize((width, image.height), BICUBIC)
  found[f'{name}, rows first'] = np.asarray(rows.resize(size, BICUBIC))
  columns = image.resize((image.width, height), BICUBIC)
  found[f'{name}, columns first'] = np.asarray(columns.resize(size, BICUBIC))
np.savez(sys.argv[1], **found)
print('Pillow', __version__)
PY

for version in 12.2.0 13.0.0; do
  PYTHONPATH="$work/$version" python3 "$work/resize.py" "$work/$version.npz"
done

PYTHONPATH="$work/13.0.0" python3 - "$work/12.2.0.npz" "$work/13.0.0.npz" <<'PY'
import sys

import numpy as np

old, new = (np.load(path) for path in sys.argv[1:])
for name in old.files:
  away = np.abs(old[name].astype(int) - new[name])
  share = (away > 0).mean()
  print(f'{name}: {share:.1%} of the numbers differ, by up to {away.max()}')
assert (old['tall'] == old['tall, rows first']).all()
assert (new['tall'] == new['tall, columns first']).all()
assert (old['tall'] != new['tall']).mean() > 0.1
for name in old.files:
  assert name == 'tall' or (old[name] == new[name]).all(), name
PY
echo 'still so: the pixels of a tall picture depend on the version of Pillow'
