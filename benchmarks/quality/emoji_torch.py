"""The PyTorch side: timm, transformers and open_clip's loss."""

from collections.abc import Sequence
import re
from typing import Any

import numpy as np
import torch
from torch import nn
import torch.nn.functional as F

from benchmarks.peers import torch_simclr
from benchmarks.quality.emoji_recipe import RECIPE, SIZE, Emoji
from jaxssl import data
from jaxssl.text.tokenizer import Tokenizer
from jaxssl.weights import huggingface_two_towers

torch_simclr.libraries()


class Model(nn.Module):
  """timm's ResNet and transformers' text tower."""

  def __init__(self, vocab_size: int):
    super().__init__()
    import timm
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection

    channels = tuple(int(64 * 2**stage * RECIPE.width) for stage in range(4))
    resnet = timm.create_model('resnet18', num_classes=0, channels=channels)
    stem = nn.Conv2d(3, channels[0], 7, stride=2, padding=3, bias=False)
    torch_simclr.set_stem(resnet, stem)
    self.vision_model = resnet
    self.visual_projection = nn.Linear(channels[-1], RECIPE.out_dim, bias=False)
    self.text = CLIPTextModelWithProjection(
      CLIPTextConfig(
        vocab_size=vocab_size,
        max_position_embeddings=RECIPE.length,
        hidden_size=RECIPE.text['dim'],
        intermediate_size=4 * RECIPE.text['dim'],
        num_hidden_layers=RECIPE.text['depth'],
        num_attention_heads=RECIPE.text['num_heads'],
        projection_dim=RECIPE.out_dim,
        bos_token_id=None,
        pad_token_id=None,
        eos_token_id=2,  # the pooled token is the one with the largest id
      )
    )
    self.logit_scale = nn.Parameter(torch.tensor(0.0))

  def encode_image(self, images: torch.Tensor) -> torch.Tensor:
    """Returns unit vectors of normalised images [b, 3, H, W]."""
    return F.normalize(self.visual_projection(self.vision_model(images)))

  def encode_text(self, text: torch.Tensor) -> torch.Tensor:
    """Returns unit vectors of ids [b, L]."""
    return F.normalize(self.text(input_ids=text).text_embeds)


class Theirs:
  """A model that starts from our weights."""

  def __init__(self, towers: Any, tokenizer: Tokenizer):
    from open_clip.loss import ClipLoss

    self._tokenizer, self._loss = tokenizer, ClipLoss()
    self.model = Model(tokenizer.vocab_size)
    tensors = {
      re.sub('^text_', 'text.text_', name): torch.tensor(tensor)
      for name, tensor in huggingface_two_towers.tensors(towers).items()
    }
    found = self.model.load_state_dict(tensors, strict=False)
    # Counters of BatchNorm and places, which hold no weights.
    counted = ('num_batches_tracked', 'position_ids')
    missing = [n for n in found.missing_keys if not n.endswith(counted)]
    if missing or found.unexpected_keys:
      raise ValueError(f'weights do not fit: {found}')

  def loss(self, images: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
    """Returns open_clip's loss on one process."""
    return self._loss(
      self.model.encode_image(images),
      self.model.encode_text(text),
      self.model.logit_scale.exp(),
    )

  def train(self, emoji: Emoji, seed: int) -> float:
    """Trains in place; returns the last loss."""
    torch.manual_seed(seed)
    transform = _make_transform()
    optimizer = _make_optimizer(self.model)
    schedule = _make_schedule(optimizer)
    batches = data.train_batches(
      emoji.source,
      batch_size=RECIPE.batch,
      # Other batches than ours, so that only chance separates the two.
      seed=seed + 1000,
      encode_text=self._tokenizer.encode,
    )
    self.model.train()
    for _ in range(RECIPE.steps):
      batch = next(batches)
      pictures = torch.from_numpy(batch['image'].transpose(0, 3, 1, 2).copy())
      views = torch.stack([transform(picture) for picture in pictures])
      loss = self.loss(views, torch.tensor(batch['text'], dtype=torch.long))
      optimizer.zero_grad()
      loss.backward()
      optimizer.step()
      schedule.step()
      # As open_clip's training loop.
      with torch.no_grad():
        self.model.logit_scale.clamp_(0, float(np.log(100)))
    batches.close()
    self.model.eval()
    return loss.item()

  @torch.inference_mode()
  def encode_image(self, images: np.ndarray) -> np.ndarray:
    """Returns vectors of uint8 images [b, H, W, 3]."""
    pixels = torch_simclr.to_torch(images) / 255.0
    return self.model.encode_image(_normalize(pixels)).numpy()

  @torch.inference_mode()
  def encode_text(self, texts: Sequence[str]) -> np.ndarray:
    """Returns vectors of texts."""
    ids = torch.tensor(self._tokenizer.encode(texts), dtype=torch.long)
    return self.model.encode_text(ids).numpy()


def _make_transform():
  from torchvision.transforms import v2

  jitter = v2.ColorJitter(0.4, 0.4, 0.4, 0.1)
  return v2.Compose(
    [
      v2.ToDtype(torch.float32, scale=True),
      v2.RandomResizedCrop(SIZE, scale=RECIPE.scale),
      v2.RandomApply([jitter], RECIPE.jitter),
      v2.Lambda(_normalize),
    ]
  )


def _normalize(pixels: torch.Tensor) -> torch.Tensor:
  from benchmarks.quality.emoji_jaxssl import AUGMENT

  mean, std = (
    torch.tensor(values, dtype=torch.float32)[:, None, None]
    for values in (AUGMENT.mean, AUGMENT.std)
  )
  return (pixels - mean) / std


def _make_optimizer(model: torch.nn.Module) -> torch.optim.Optimizer:
  parameters = list(model.parameters())
  groups = [
    {
      'params': [p for p in parameters if p.ndim > 1],
      'weight_decay': RECIPE.weight_decay,
    },
    {'params': [p for p in parameters if p.ndim <= 1], 'weight_decay': 0.0},
  ]
  return torch.optim.AdamW(
    groups, lr=RECIPE.learning_rate, betas=(0.9, 0.98), eps=1e-6
  )


def _make_schedule(
  optimizer: torch.optim.Optimizer,
) -> torch.optim.lr_scheduler.LRScheduler:
  rates = torch.optim.lr_scheduler
  warmup = rates.LambdaLR(optimizer, lambda step: step / RECIPE.warmup)
  cosine = rates.CosineAnnealingLR(optimizer, RECIPE.steps - RECIPE.warmup)
  return rates.SequentialLR(optimizer, [warmup, cosine], [RECIPE.warmup])
