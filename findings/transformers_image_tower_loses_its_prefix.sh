#!/usr/bin/env bash
# An image tower that transformers 5 saves by itself has names without the
# prefix `vision_model.`, which version 4 wrote.
#
# Versions: transformers 5.23.0, torch 2.13.0, numpy 2.4.6, Python 3.11;
# 2026-11-28.
#
# Where it matters: whoever reads `model.safetensors` by names. The towers of a
# whole CLIPModel keep the prefix, so does CLIPVisionModelWithProjection; only
# CLIPVisionModel and SiglipVisionModel lose it.
#
# One would guess that saving keeps the names that the hub's files have, as
# loading accepts them. Seen: `embeddings.class_embedding` instead of
# `vision_model.embeddings.class_embedding`.
#
# Exits with 1 if this changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.13.0 numpy==2.4.6 \
  transformers==5.23.0
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
from safetensors import safe_open
import transformers as t

SIZES = {
  'hidden_size': 32,
  'intermediate_size': 64,
  'num_hidden_layers': 1,
  'num_attention_heads': 4,
  'image_size': 32,
  'patch_size': 8,
}
prefixed = {}
for name, model in {
  'CLIPVisionModel': t.CLIPVisionModel(t.CLIPVisionConfig(**SIZES)),
  'SiglipVisionModel': t.SiglipVisionModel(t.SiglipVisionConfig(**SIZES)),
  'CLIPVisionModelWithProjection': t.CLIPVisionModelWithProjection(
    t.CLIPVisionConfig(**SIZES)
  ),
}.items():
  model.save_pretrained(name)
  with safe_open(f'{name}/model.safetensors', 'np') as file:
    names = list(file.keys())
  prefixed[name] = any(n.startswith('vision_model.') for n in names)
  print(name, 'prefix:', prefixed[name])
assert prefixed == {
  'CLIPVisionModel': False,
  'SiglipVisionModel': False,
  'CLIPVisionModelWithProjection': True,
}
PYTHON
echo 'as before: alone, a tower has no prefix'
