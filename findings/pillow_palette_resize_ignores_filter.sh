#!/usr/bin/env bash
# Pillow resizes a picture with a palette by the nearest pixel, whatever filter
# is asked for, and says nothing.
#
# Versions: pillow 13.0.0, numpy 2.4.6, Python 3.11; 2026-11-28.
#
# Where it matters: openai/CLIP (`_transform` of clip/clip.py) and open_clip
# (`image_transform`) resize first and convert to RGB afterwards, so every PNG
# or GIF with a palette reaches the model without the bicubic filter;
# transformers and torchvision's ImageFolder convert first.
#
# One would guess that `resize(size, BICUBIC)` filters, or refuses pictures that
# it cannot filter. Seen: equal, bit for bit, to `resize(size, NEAREST)`, and
# 23 levels of 255 on average from the picture that was converted first (a ramp
# of colours with noise, reduced to 224 x 224).
#
# Exits with 1 if this changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pillow==13.0.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
from PIL import Image

y, x = np.mgrid[:375, :500]
noise = np.random.default_rng(0).normal(0, 40, (375, 500, 3))
ramp = np.stack([x / 2, y / 2, (x + y) / 4], axis=-1) + noise
picture = Image.fromarray(ramp.clip(0, 255).astype(np.uint8)).quantize(64)
assert picture.mode == 'P'

size = (224, 224)
first_resized = picture.resize(size, Image.Resampling.BICUBIC).convert('RGB')
nearest = picture.resize(size, Image.Resampling.NEAREST).convert('RGB')
first_converted = picture.convert('RGB').resize(size, Image.Resampling.BICUBIC)

arrays = [np.asarray(i).astype(int) for i in (first_resized, first_converted)]
difference = np.abs(arrays[0] - arrays[1]).mean()
print(f'equal to nearest: {first_resized.tobytes() == nearest.tobytes()}')
print(f'mean difference to converting first: {difference:.1f} of 255')
assert first_resized.tobytes() == nearest.tobytes()
assert difference > 5
PYTHON
echo 'as before: the filter is ignored'
