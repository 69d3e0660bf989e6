#!/usr/bin/env bash
# SigLIP's image processor of transformers makes oblong pictures when its size
# is a number, although all its models take squares.
#
# Versions: transformers 5.23.0, pillow 13.0.0, numpy 2.4.6, Python 3.11;
# 2026-11-28. PyTorch is not needed.
#
# One would guess that `size=64` means what `{'height': 64, 'width': 64}` means,
# as for ViT, BEiT and DeiT: the processor's own default is a square, and it
# cuts nothing out. Seen: the class has `default_to_square = False`, a number is
# taken for the shorter side, and a picture of 400 x 300 becomes 85 x 64. The
# model fails, or with interpolated positions sees another shape than it was
# trained on.
#
# Exits with 1 if this changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet \
  transformers==5.23.0 pillow==13.0.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
from PIL import Image
from transformers import SiglipImageProcessorPil, ViTImageProcessorPil

picture = Image.fromarray(np.zeros((300, 400, 3), np.uint8))


def shape(kind, size):
  return kind(size=size)(picture)['pixel_values'][0].shape


square = {'height': 64, 'width': 64}
for kind in (SiglipImageProcessorPil, ViTImageProcessorPil):
  print(kind.__name__, shape(kind, 64), shape(kind, square))
assert shape(SiglipImageProcessorPil, square) == (3, 64, 64)
assert shape(SiglipImageProcessorPil, 64) == (3, 64, 85)
assert shape(ViTImageProcessorPil, 64) == (3, 64, 64)
PYTHON
echo 'as before: a number is the shorter side'
