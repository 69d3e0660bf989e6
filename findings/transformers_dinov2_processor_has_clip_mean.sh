#!/usr/bin/env bash
# The image processor that transformers maps DINOv2 to (`BitImageProcessor`) has
# CLIP's mean and deviation where the file leaves them out, and no margin.
#
# Versions: transformers 5.23.0, pillow 13.0.0, numpy 2.4.6, Python 3.11;
# 2026-11-28. PyTorch is not needed.
#
# One would guess ImageNet's mean (0.485, 0.456, 0.406) and the shorter side at
# 256 before 224 are cut out, as DINOv2's authors evaluate. Seen: a processor
# made without the file of a model, or from one that lacks the keys, takes
# (0.481, 0.458, 0.408) and resizes the shorter side to 224.
#
# Exits with 1 if this changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet \
  transformers==5.23.0 pillow==13.0.0 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
from transformers import BitImageProcessorPil
from transformers.image_utils import IMAGENET_DEFAULT_MEAN, OPENAI_CLIP_MEAN
from transformers.models.auto import image_processing_auto

named = dict(image_processing_auto.IMAGE_PROCESSOR_MAPPING_NAMES)['dinov2']
processor = BitImageProcessorPil()
print('dinov2:', named)
print('mean:', processor.image_mean, 'size:', processor.size['shortest_edge'])
assert 'BitImageProcessor' in str(named)
assert list(processor.image_mean) == list(OPENAI_CLIP_MEAN)
assert list(processor.image_mean) != list(IMAGENET_DEFAULT_MEAN)
assert processor.size['shortest_edge'] == processor.crop_size['height'] == 224
PYTHON
echo "as before: CLIP's mean, and nothing is cut off the shorter side"
