"""CLIP in PyTorch with the module names of open_clip.

Written from the description of the layout; attention is PyTorch's own, so that
the order of query, key and value in one matrix is its and not ours.
"""

import collections

import torch
from torch import nn


class _QuickGELU(nn.Module):
  def forward(self, x):
    return x * torch.sigmoid(1.702 * x)


class _Block(nn.Module):
  def __init__(self, dim, heads, hidden):
    super().__init__()
    self.ln_1, self.ln_2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
    self.attn = nn.MultiheadAttention(dim, heads, batch_first=True)
    layers = [
      ('c_fc', nn.Linear(dim, hidden)),
      ('gelu', _QuickGELU()),
      ('c_proj', nn.Linear(hidden, dim)),
    ]
    self.mlp = nn.Sequential(collections.OrderedDict(layers))

  def forward(self, x, mask):
    y = self.ln_1(x)
    x = x + self.attn(y, y, y, need_weights=False, attn_mask=mask)[0]
    return x + self.mlp(self.ln_2(x))


class _Transformer(nn.Module):
  def __init__(self, dim, depth, num_heads, mlp_ratio):
    super().__init__()
    hidden = int(dim * mlp_ratio)
    blocks = (_Block(dim, num_heads, hidden) for _ in range(depth))
    self.resblocks = nn.ModuleList(blocks)

  def forward(self, x, mask=None):
    for block in self.resblocks:
      x = block(x, mask)
    return x


class _Visual(nn.Module):
  def __init__(self, image_size, patch_size, out_dim, **sizes):
    super().__init__()
    dim = sizes['dim']
    tokens = 1 + (image_size // patch_size) ** 2
    self.conv1 = nn.Conv2d(3, dim, patch_size, patch_size, bias=False)
    self.class_embedding = nn.Parameter(torch.zeros(dim))
    self.positional_embedding = nn.Parameter(torch.zeros(tokens, dim))
    self.ln_pre, self.ln_post = nn.LayerNorm(dim), nn.LayerNorm(dim)
    self.transformer = _Transformer(**sizes)
    self.proj = nn.Parameter(torch.zeros(dim, out_dim))

  def forward(self, images):
    x = self.conv1(images).flatten(2).transpose(1, 2)
    first = self.class_embedding.expand(len(x), 1, -1)
    x = torch.cat([first, x], 1) + self.positional_embedding
    x = self.transformer(self.ln_pre(x))
    return self.ln_post(x[:, 0]) @ self.proj


class CLIP(nn.Module):
  """Returns image features, text features and logits, all normalised."""

  def __init__(
    self, image_size, patch_size, vocab_size, length, out_dim, sizes
  ):
    super().__init__()
    dim = sizes['dim']
    self.visual = _Visual(image_size, patch_size, out_dim, **sizes)
    self.transformer = _Transformer(**sizes)
    self.token_embedding = nn.Embedding(vocab_size, dim)
    self.positional_embedding = nn.Parameter(torch.zeros(length, dim))
    self.ln_final = nn.LayerNorm(dim)
    self.text_projection = nn.Parameter(torch.zeros(dim, out_dim))
    self.logit_scale = nn.Parameter(torch.zeros(()))

  def forward(self, images, text):
    length = text.shape[1]
    mask = torch.full((length, length), float('-inf')).triu(1)
    y = self.token_embedding(text) + self.positional_embedding
    y = self.ln_final(self.transformer(y, mask))
    y = y[torch.arange(len(y)), text.argmax(1)] @ self.text_projection
    x, y = (nn.functional.normalize(v) for v in (self.visual(images), y))
    return x, y, self.logit_scale.exp() * x @ y.T


def randomize(model):
  """Draws every tensor, so that no swap can hide."""
  torch.manual_seed(0)
  with torch.no_grad():
    for name, tensor in model.named_parameters():
      is_scale = '.ln_' in f'.{name}' and name.endswith('weight')
      tensor.copy_(0.1 * torch.randn_like(tensor) + float(is_scale))
  return model.eval()
