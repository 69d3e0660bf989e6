"""Tiny transformers models at random weights, and their tensors by name."""

import numpy as np
import pytest

from jaxssl.models import positions

SIZE, PATCH = 32, 8
GRID = (SIZE // PATCH,) * 2
SMALL = {
  'hidden_size': 32,
  'num_hidden_layers': 2,
  'num_attention_heads': 4,
  'intermediate_size': 128,
  'image_size': SIZE,
  'patch_size': PATCH,
  # The authors' value; the class's default is 1e-12.
  'layer_norm_eps': 1e-6,
}


def randomize(model):
  """Makes every trained tensor random, so that no swap can hide."""
  import torch

  torch.manual_seed(0)
  with torch.no_grad():
    for name, tensor in model.named_parameters():
      if tensor.requires_grad:
        is_scale = 'norm' in name and name.endswith('weight')
        tensor.copy_(0.1 * torch.randn_like(tensor) + float(is_scale))
  return model


def _fixed_positions(dim):
  import torch

  table = np.zeros((1, 1 + GRID[0] * GRID[1], dim), np.float32)
  table[0, 1:] = positions.sincos_mae(*GRID, dim)
  return torch.from_numpy(table)


def vit_mae(**changes):
  """Returns a ViTMAEForPreTraining."""
  transformers = pytest.importorskip('transformers')

  config = transformers.ViTMAEConfig(
    **SMALL,
    decoder_hidden_size=16,
    decoder_num_hidden_layers=2,
    decoder_num_attention_heads=2,
    decoder_intermediate_size=64,
    **{'norm_pix_loss': True, **changes},
  )
  model = randomize(transformers.ViTMAEForPreTraining(config))
  # The library leaves positions at zero until weights come.
  model.vit.embeddings.position_embeddings.data = _fixed_positions(32)
  model.decoder.decoder_pos_embed.data = _fixed_positions(16)
  return model.eval()


def vit_for_masks():
  """Returns a ViTForMaskedImageModeling, which is SimMIM."""
  transformers = pytest.importorskip('transformers')
  config = transformers.ViTConfig(
    **SMALL,
    encoder_stride=PATCH,
    hidden_dropout_prob=0.0,
    attention_probs_dropout_prob=0.0,
  )
  model = randomize(transformers.ViTForMaskedImageModeling(config))
  return model.eval()


def beit(vocabulary, **changes):
  """Returns a BeitForMaskedImageModeling with one shared bias table."""
  transformers = pytest.importorskip('transformers')
  config = transformers.BeitConfig(
    **SMALL,
    vocab_size=vocabulary,
    use_mask_token=True,
    use_shared_relative_position_bias=True,
    drop_path_rate=0.0,
    **changes,
  )
  return randomize(transformers.BeitForMaskedImageModeling(config)).eval()


def tensors(model):
  """Returns all tensors as NumPy arrays by name."""
  return {n: t.detach().numpy() for n, t in model.state_dict().items()}


def gradients(model):
  """Returns the gradients of the trained parameters by name."""
  return {
    n: p.grad.numpy() for n, p in model.named_parameters() if p.requires_grad
  }
