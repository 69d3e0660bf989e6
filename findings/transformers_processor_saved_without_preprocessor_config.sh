#!/usr/bin/env bash
# `CLIPProcessor.save_pretrained` of transformers 5 writes no
# `preprocessor_config.json`: how pictures are prepared stands inside
# `processor_config.json`.
#
# Versions: transformers 5.23.0, pillow 13.0.0, numpy 2.4.6, Python 3.11;
# 2026-11-28. PyTorch is not needed.
#
# Where it matters: `preprocessor_config.json` is the file that version 4 wrote
# and that the models at the hub have. A reader that knows it alone falls back
# to defaults, silently. An image processor that is saved by itself still writes
# it, and where both files are there, the nested one wins.
#
# One would guess that the old file goes on being written, or that the new one
# has another content than before only. Seen: `processor_config.json` with a key
# `image_processor`, and no other file about images.
#
# Exits with 1 if this changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet \
  transformers==5.23.0 pillow==13.0.0 numpy==2.4.6
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import json
import os

from transformers import (
  AutoImageProcessor,
  CLIPImageProcessorPil,
  CLIPProcessor,
  CLIPTokenizer,
)

tokenizer = CLIPTokenizer(
  vocab={'<|startoftext|>': 0, '<|endoftext|>': 1, 'a</w>': 2, 'a': 3},
  merges=[],
)
whole = CLIPProcessor(
  image_processor=CLIPImageProcessorPil(resample=2), tokenizer=tokenizer
)
whole.save_pretrained('whole')
print('processor:', sorted(os.listdir('whole')))
assert 'preprocessor_config.json' not in os.listdir('whole')
with open('whole/processor_config.json') as file:
  assert json.load(file)['image_processor']['resample'] == 2

CLIPImageProcessorPil(resample=0).save_pretrained('alone')
print('image processor alone:', sorted(os.listdir('alone')))
assert os.listdir('alone') == ['preprocessor_config.json']

os.rename('alone/preprocessor_config.json', 'whole/preprocessor_config.json')
read = AutoImageProcessor.from_pretrained('whole', backend='pil')
print('of both files, filter', int(read.resample))
assert int(read.resample) == 2
PYTHON
echo 'as before: one nested file'
