"""Both towers of a MetaCLIP 2 out of transformers' folder."""

import jax
import numpy as np
import pytest

from jaxssl import build
from jaxssl.train.workdir import Workdir
from jaxssl.weights.exported import load_encoder
from tests.commands import runs
from tests.models import timm_reference, transformers_reference
from tests.weights import clip_towers

SMALL = {
  'hidden_size': 32,
  'intermediate_size': 64,
  'num_hidden_layers': 2,
  'num_attention_heads': 4,
}


def _model():
  import transformers

  tokenizer = clip_towers.TOKENIZER
  config = transformers.MetaClip2Config(
    text_config={
      **SMALL,
      'vocab_size': tokenizer.vocab_size,
      'max_position_embeddings': clip_towers.LENGTH,
      # Where a text is read, unlike CLIP's highest id.
      'eos_token_id': tokenizer.end_id,
    },
    vision_config={**SMALL, 'image_size': clip_towers.SIZE, 'patch_size': 8},
    projection_dim=24,
  )
  model = transformers.MetaClip2Model(config)
  return transformers_reference.randomize(model).eval()


@pytest.mark.reference
def test_features_equal_transformers(tmp_path):
  import torch

  model = _model()
  model.save_pretrained(tmp_path / 'model')
  code = runs.jaxssl(
    *('import', 'huggingface', tmp_path / 'model'),
    f'--workdir={tmp_path / "run"}',
    *clip_towers.arguments(),
  )
  assert code == 0
  workdir = Workdir(tmp_path / 'run')
  method = build.build_method(workdir.read_config())
  exported = load_encoder(workdir.export)
  towers = {'encoder': exported.variables, **exported.towers}
  images, text = timm_reference.images(clip_towers.SIZE, 3), clip_towers.text()
  with torch.no_grad():
    theirs = model(
      input_ids=torch.from_numpy(text).long(),
      pixel_values=timm_reference.to_torch(images),
    )
  found = jax.jit(method.encode_image)(towers, images)
  # float32 on both sides, two blocks.
  np.testing.assert_allclose(found, theirs.image_embeds, atol=1e-5)
  found = jax.jit(method.encode_text)(towers, text)
  np.testing.assert_allclose(found, theirs.text_embeds, atol=1e-5)
