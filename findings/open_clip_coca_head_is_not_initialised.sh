#!/usr/bin/env bash
# A new CoCa of open_clip has a decoder whose last matrix was never initialised:
# it is whatever the memory held.
#
# Versions: open_clip_torch 3.3.0, torch 2.13.0, torchvision 0.28.0, timm 1.0.31,
# Python 3.11; 2026-11-29.
#
# One would guess that training CoCa from scratch starts from random numbers of
# the seed, as the towers do, and that the first caption loss is about ln V.
# Seen: `MultimodalTransformer` makes `text_projection` with `torch.empty`, and
# nobody calls its `init_parameters`, which would fail: it asks for
# `self.transformer`, which is its name in another class. The other matrices
# keep PyTorch's own initial values. With memory that PyTorch fills to show such
# cases, the matrix is NaN; otherwise the first loss depends on what ran before.
#
# Exits with 1 if this changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
pip="$folder/venv/bin/pip"
"$pip" install --quiet torch==2.13.0 numpy==2.4.6 pillow==13.0.0 ftfy regex \
  tqdm huggingface_hub safetensors pyyaml
"$pip" install --quiet --no-deps torchvision==0.28.0 timm==1.0.31 \
  open_clip_torch==3.3.0
"$folder/venv/bin/python" - <<'PYTHON'
import importlib.util
import pathlib

import torch

# torchvision's operators for CUDA are missing beside a PyTorch for CPUs.
spec = importlib.util.find_spec('torchvision')
try:
  torch.ops.load_library(str(pathlib.Path(spec.origin).parent / '_C.so'))
except OSError:
  library = torch.library.Library('torchvision', 'FRAGMENT')
  for name in ('nms', 'qnms'):
    library.define(name + '(Tensor dets, Tensor scores, float t) -> Tensor')

from open_clip import coca_model

# `torch.empty` then fills its memory with NaN.
torch.use_deterministic_algorithms(True)
text = {'context_length': 8, 'vocab_size': 16, 'width': 16, 'heads': 2}
text = {**text, 'layers': 1}
vision = {'image_size': 16, 'patch_size': 8, 'width': 16, 'head_width': 8}
vision = {**vision, 'layers': 1, 'output_tokens': True}
torch.manual_seed(0)
model = coca_model.CoCa(8, text, {**text, 'output_tokens': True}, vision)
holes = [n for n, p in model.named_parameters() if torch.isnan(p).any()]
print('never initialised:', holes)
assert holes == ['text_decoder.text_projection']
try:
  model.text_decoder.init_parameters()
except AttributeError as error:
  print('init_parameters:', error)
else:
  raise AssertionError('init_parameters works now')
PYTHON
echo 'as before: the matrix in front of the vocabulary is uninitialised memory'
