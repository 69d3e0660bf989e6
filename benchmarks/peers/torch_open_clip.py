"""open_clip's models at random weights, of any size."""

import itertools
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.peers import torch_simclr

_HEAD_WIDTH = 64


def vit(
  *,
  image_size: int,
  patch_size: int,
  image: dict[str, Any],
  text: dict[str, Any],
  vocab_size: int,
  length: int,
  out_dim: int,
  quick_gelu: bool = True,
) -> nn.Module:
  """Returns a CLIP with a vision transformer; towers have our attributes."""
  vision = _vision_config(image_size, patch_size, image)
  return _clip(vision, text, vocab_size, length, out_dim, quick_gelu)


def resnet(
  *,
  image_size: int,
  blocks: tuple[int, ...],
  width: int,
  text: dict[str, Any],
  vocab_size: int,
  length: int,
  out_dim: int,
) -> nn.Module:
  """Returns a CLIP with the modified ResNet."""
  vision = {
    'layers': blocks,
    'width': width,
    'head_width': min(_HEAD_WIDTH, 32 * width),
    'image_size': image_size,
  }
  return _clip(vision, text, vocab_size, length, out_dim)


def siglip(
  *,
  image_size: int,
  patch_size: int,
  image: dict[str, Any],
  text: dict[str, Any],
  vocab_size: int,
  length: int,
) -> nn.Module:
  """Returns a SigLIP with timm's tower; towers have our attributes."""
  torch_simclr.libraries()
  from open_clip import CustomTextCLIP
  import timm

  width = text['dim']
  tower = 'vit_base_patch16_siglip_224'
  model = CustomTextCLIP(
    width,
    {'timm_model_name': tower, 'timm_pool': 'map', 'timm_proj': 'none'},
    {
      **_text_config(text, vocab_size, length),
      'no_causal_mask': True,
      'proj_bias': True,
      'pool_type': 'last',
      'norm_kwargs': {'eps': 1e-6},
    },
    init_logit_bias=-10,
  )
  # Its description has no room for sizes of that tower.
  model.visual.trunk = timm.create_model(
    tower,
    img_size=image_size,
    patch_size=patch_size,
    embed_dim=image['dim'],
    depth=image['depth'],
    num_heads=image['num_heads'],
    mlp_ratio=image['mlp_ratio'],
    num_classes=0,
  )
  return randomize(model)


def coca(
  *,
  image_size: int,
  patch_size: int,
  image: dict[str, Any],
  text: dict[str, Any],
  vocab_size: int,
  length: int,
  out_dim: int,
) -> nn.Module:
  """Returns a CoCa without poolers; towers have our attributes.

  The decoder has the sizes of the text tower, and MLPs of four times its width
  whatever that has.
  """
  torch_simclr.libraries()
  from open_clip.coca_model import CoCa

  vision = _vision_config(image_size, patch_size, image)
  text_cfg = _text_config(text, vocab_size, length)
  model = CoCa(
    out_dim,
    text_cfg,
    {**text_cfg, 'output_tokens': True},
    {**vision, 'output_tokens': True},
  )
  return randomize(model)


def _vision_config(image_size, patch_size, image):
  return {
    'layers': image['depth'],
    'width': image['dim'],
    'head_width': image['dim'] // image['num_heads'],
    'mlp_ratio': image['mlp_ratio'],
    'patch_size': patch_size,
    'image_size': image_size,
  }


def _clip(vision, text, vocab_size, length, out_dim, quick_gelu=True):
  torch_simclr.libraries()
  from open_clip import CLIP

  text_cfg = _text_config(text, vocab_size, length)
  return randomize(CLIP(out_dim, vision, text_cfg, quick_gelu=quick_gelu))


def _text_config(text, vocab_size, length):
  return {
    'context_length': length,
    'vocab_size': vocab_size,
    'width': text['dim'],
    'heads': text['num_heads'],
    'layers': text['depth'],
    'mlp_ratio': text['mlp_ratio'],
  }


def published(name: str) -> nn.Module:
  """Returns the model of that name, such as `ViT-B-32-quickgelu`."""
  torch_simclr.libraries()
  import open_clip

  return randomize(open_clip.create_model(name, pretrained=None))


def run(
  model: nn.Module, images: np.ndarray, text: np.ndarray
) -> tuple[np.ndarray, ...]:
  """Returns unit vectors of images, of texts, and logits [images, texts].

  Args:
    model: of `vit`, `resnet` or `siglip`.
    images: normalised, [b, H, W, 3].
    text: token ids [n, L].
  """
  with torch.no_grad():
    x, y, scale, *bias = model(
      torch_simclr.to_torch(images), torch.from_numpy(text).long()
    )
    logits = scale * x @ y.T + sum(bias)
  return x.numpy(), y.numpy(), logits.numpy()


def randomize(model: nn.Module, seed: int = 0) -> nn.Module:
  """Draws every tensor of a model, so that no swap can hide.

  Matrices get the variance 1 / inputs, so that any width keeps its scale.
  """
  draws = torch.Generator().manual_seed(seed)
  named = itertools.chain(model.named_parameters(), model.named_buffers())
  with torch.no_grad():
    for name, tensor in named:
      if not tensor.is_floating_point() or name.endswith('attn_mask'):
        continue
      noise = torch.randn(tensor.shape, generator=draws)
      if name.endswith('running_var'):
        tensor.copy_(0.5 + noise.abs())
      elif tensor.ndim < 2 and name.endswith('weight'):
        tensor.copy_(1.0 + 0.1 * noise)
      elif tensor.ndim < 2:
        tensor.copy_(0.1 * noise)
      else:
        tensor.copy_(noise / tensor[0].numel() ** 0.5)
    model.logit_scale.fill_(2.0)
  return model.eval()
