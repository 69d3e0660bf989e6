#!/usr/bin/env bash
# transformers cuts the centre out one pixel further to the left or above than
# torchvision, where the margin leaves the remainder 3 by 4.
#
# Versions: transformers 5.23.0, torch 2.13.0, torchvision 0.28.0, pillow
# 13.0.0, numpy 2.4.6, Python 3.11; 2026-11-28.
#
# Where it matters: CLIP was trained, and is evaluated by openai/CLIP and
# open_clip, with torchvision's CenterCrop. A picture of 640 x 427, frequent in
# COCO, becomes 335 x 224, the margin is 111, and the same weights see two
# different pictures.
#
# One would guess that two "center crops" of CLIP's preprocessing are one, in
# particular as transformers' newer processors are built on torchvision. Seen:
# torchvision rounds half a pixel to the even number (56 of 111 / 2 = 55.5),
# both processors of transformers round down (55): nearly every pixel differs.
#
# Exits with 1 if this changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip="$folder/venv/bin/pip"
"$pip" install --quiet torch==2.13.0 numpy==2.4.6 pillow==13.0.0 \
  transformers==5.23.0
"$pip" install --quiet --no-deps torchvision==0.28.0
"$folder/venv/bin/python" - <<'PYTHON'
import torch

# torchvision's operators for CUDA are missing beside a PyTorch for CPUs.
library = torch.library.Library('torchvision', 'DEF')
for name in ('nms', 'qnms'):
  library.define(name + '(Tensor dets, Tensor scores, float t) -> Tensor')

import numpy as np
from PIL import Image
from torchvision import transforms
from transformers import CLIPImageProcessor, CLIPImageProcessorPil

pixels = np.random.default_rng(0).integers(0, 256, (427, 640, 3), np.uint8)
picture = Image.fromarray(pixels)
resized = transforms.Resize(
  224, interpolation=transforms.InterpolationMode.BICUBIC
)(picture)
assert resized.size == (335, 224)
theirs = np.asarray(transforms.CenterCrop(224)(resized))
raw = {'do_rescale': False, 'do_normalize': False}
ours, on_tensors = (
  np.asarray(kind()(picture, **raw)['pixel_values'][0]).transpose(1, 2, 0)
  for kind in (CLIPImageProcessorPil, CLIPImageProcessor)
)
whole = np.asarray(resized)
print('torchvision begins at 56:', np.array_equal(theirs, whole[:, 56:280]))
print('transformers begins at 55:', np.array_equal(ours, whole[:, 55:279]))
print('share of values that differ:', (ours != theirs).mean())
assert np.array_equal(theirs, whole[:, 56:280])
assert np.array_equal(ours, whole[:, 55:279])
# torchvision's filter of tensors rounds otherwise, by a level at most.
assert np.abs(on_tensors.astype(int) - whole[:, 55:279]).max() <= 1
PYTHON
echo 'as before: one pixel apart'
