"""Tiny image-text models of transformers at random weights."""

import numpy as np
import pytest

from tests.models.transformers_reference import randomize

SIZE, LENGTH, VOCABULARY, WIDTH = 32, 9, 40, 32
EOT = VOCABULARY - 1
_TOWER = {
  'hidden_size': WIDTH,
  'intermediate_size': 2 * WIDTH,
  'num_hidden_layers': 2,
  'num_attention_heads': 4,
}
_TEXT = {**_TOWER, 'vocab_size': VOCABULARY, 'max_position_embeddings': LENGTH}
_VISION = {**_TOWER, 'image_size': SIZE, 'patch_size': 8}
# Our attributes for the same sizes.
SMALL = {'dim': WIDTH, 'depth': 2, 'num_heads': 4, 'mlp_ratio': 2.0}
SMALL_TEXT = {**SMALL, 'vocab_size': VOCABULARY, 'length': LENGTH}


def clip(**changes):
  """Returns a CLIPModel that ends in 24 numbers."""
  transformers = pytest.importorskip('transformers')
  config = transformers.CLIPConfig(
    text_config={**_TEXT, 'eos_token_id': EOT, 'bos_token_id': EOT - 1},
    vision_config=_VISION,
    projection_dim=24,
    **changes,
  )
  return _random(transformers.CLIPModel(config))


def siglip():
  """Returns a SiglipModel."""
  transformers = pytest.importorskip('transformers')
  config = transformers.SiglipConfig(
    text_config={**_TEXT, 'projection_size': WIDTH}, vision_config=_VISION
  )
  return _random(transformers.SiglipModel(config))


def bert():
  """Returns a BertModel without its pooler."""
  transformers = pytest.importorskip('transformers')
  config = transformers.BertConfig(**_TEXT, pad_token_id=0)
  return _random(transformers.BertModel(config, add_pooling_layer=False))


def gpt2():
  """Returns a GPT2Model."""
  transformers = pytest.importorskip('transformers')
  config = transformers.GPT2Config(
    vocab_size=VOCABULARY,
    n_positions=LENGTH,
    n_embd=WIDTH,
    n_layer=2,
    n_head=4,
    n_inner=2 * WIDTH,
  )
  return _random(transformers.GPT2Model(config))


def text(rows=3):
  """Returns token ids [rows, LENGTH]: start, words, end, padding."""
  rng = np.random.default_rng(0)
  ids = np.zeros((rows, LENGTH), np.int32)
  for row, words in zip(ids, range(2, LENGTH), strict=False):
    row[:words] = rng.integers(1, EOT - 1, words)
    row[0], row[words] = EOT - 1, EOT
  return ids


def _random(model):
  model = randomize(model)
  for name in ('logit_scale', 'logit_bias'):
    if hasattr(model, name):
      getattr(model, name).data.fill_(0.7)
  return model.eval()
