#!/usr/bin/env bash
# transformers 5.23.0 with tokenizers 0.23.3, open_clip_torch 3.3.0 with ftfy 6.3.1 and
# torch 2.13.0 (Python 3.11), seen on 2026-12-01.
#
# Captions as the web has them, with curly quotes, ligatures and HTML entities:
# `CLIPTokenizer` of transformers and `SimpleTokenizer` of open_clip, the same
# vocabulary and merges.
#
# One would guess: the same ids, as both are the tokenizer of the same released
# weights.
# Seen: plain texts have the same. CLIP's authors pass every text through ftfy,
# which makes curly quotes straight and takes ligatures apart, and then unescape
# HTML; the weights have never seen anything else. open_clip does so;
# transformers, which did where ftfy was installed, has no such step any more. "it's"
# with a curly apostrophe has four tokens there instead of two. A caption of
# transformers has to be mended before.
#
# Exits with 0 as long as this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m pip install --quiet --disable-pip-version-check \
  --target "$folder/site" transformers==5.23.0 tokenizers==0.23.3 \
  torch==2.13.0 numpy==2.4.6 ftfy==6.3.1
"${PYTHON:-python3}" -m pip install --quiet --disable-pip-version-check \
  --no-deps --target "$folder/open_clip" open_clip_torch==3.3.0
PYTHONPATH=$folder/site OPEN_CLIP=$folder/open_clip/open_clip HF_HUB_OFFLINE=1 \
  "${PYTHON:-python3}" - <<'PY'
import importlib.util
import os
import pathlib

import ftfy
import transformers

# The file alone: the package imports torchvision, which needs a GPU's libraries.
file = pathlib.Path(os.environ['OPEN_CLIP'], 'tokenizer.py')
spec = importlib.util.spec_from_file_location('tokenizer', file)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)

theirs = module.SimpleTokenizer()
names = {
  '<start_of_text>': '<|startoftext|>',
  '<end_of_text>': '<|endoftext|>',
}
tokenizer = transformers.CLIPTokenizer(
  vocab={names.get(word, word): i for word, i in theirs.encoder.items()},
  merges=list(theirs.bpe_ranks),
)


def ids(text):
  return tokenizer(text)['input_ids'][1:-1]


for text in ("a photo of a dog, it's brown", 'naïve café  100% £5', '2023 ½ cup'):
  assert ids(text) == theirs.encode(text), text
for text in ('it\u2019s \u201cquoted\u201d', '\ufb01ne art', 'salt &amp; pepper'):
  found, wanted = ids(text), theirs.encode(text)
  print(f'{text!r}: transformers {found}, open_clip {wanted}')
  assert found != wanted, text
  assert ids(ftfy.fix_text(text)) == wanted, text
PY
