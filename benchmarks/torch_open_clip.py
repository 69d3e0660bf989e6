"""CLIP in PyTorch with the module names of open_clip, at any size.

Written from the description of the layout. Attention is PyTorch's own, so that
the order of query, key and value in one matrix is its and not ours.
"""

import collections
import itertools

import torch
from torch import nn
from torch.nn import functional


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


class ViT(nn.Module):
  """The vision transformer, projection included."""

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
    """Maps [b, 3, H, W] to [b, K]."""
    x = self.conv1(images).flatten(2).transpose(1, 2)
    first = self.class_embedding.expand(len(x), 1, -1)
    x = torch.cat([first, x], 1) + self.positional_embedding
    x = self.transformer(self.ln_pre(x))
    return self.ln_post(x[:, 0]) @ self.proj


class _Bottleneck(nn.Module):
  def __init__(self, channels, planes, stride):
    super().__init__()
    out = 4 * planes
    self.conv1 = nn.Conv2d(channels, planes, 1, bias=False)
    self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
    self.conv3 = nn.Conv2d(planes, out, 1, bias=False)
    self.bn1, self.bn2 = nn.BatchNorm2d(planes), nn.BatchNorm2d(planes)
    self.bn3 = nn.BatchNorm2d(out)
    self.pool = nn.AvgPool2d(stride)
    self.downsample = None
    if stride > 1 or channels != out:
      layers = [
        ('-1', nn.AvgPool2d(stride)),
        ('0', nn.Conv2d(channels, out, 1, bias=False)),
        ('1', nn.BatchNorm2d(out)),
      ]
      self.downsample = nn.Sequential(collections.OrderedDict(layers))

  def forward(self, x):
    y = functional.relu(self.bn1(self.conv1(x)))
    y = functional.relu(self.bn2(self.conv2(y)))
    y = self.bn3(self.conv3(self.pool(y)))
    return functional.relu(y + (self.downsample(x) if self.downsample else x))


class _AttentionPool(nn.Module):
  def __init__(self, side, dim, heads, out_dim):
    super().__init__()
    self.heads = heads
    self.positional_embedding = nn.Parameter(torch.zeros(side * side + 1, dim))
    self.q_proj, self.k_proj = nn.Linear(dim, dim), nn.Linear(dim, dim)
    self.v_proj, self.c_proj = nn.Linear(dim, dim), nn.Linear(dim, out_dim)

  def forward(self, x):
    x = x.flatten(2).transpose(1, 2)
    x = torch.cat([x.mean(1, keepdim=True), x], 1) + self.positional_embedding
    q, k, v = (
      layer(y).unflatten(2, (self.heads, -1)).transpose(1, 2)
      for layer, y in (
        (self.q_proj, x[:, :1]),
        (self.k_proj, x),
        (self.v_proj, x),
      )
    )
    y = functional.scaled_dot_product_attention(q, k, v)
    return self.c_proj(y.transpose(1, 2).flatten(1))


class ResNet(nn.Module):
  """The modified ResNet."""

  def __init__(self, image_size, blocks, width, out_dim):
    super().__init__()
    half, dim = width // 2, 32 * width
    sizes = ((3, half, 2), (half, half, 1), (half, width, 1))
    for i, (before, after, stride) in enumerate(sizes, start=1):
      conv = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
      setattr(self, f'conv{i}', conv)
      setattr(self, f'bn{i}', nn.BatchNorm2d(after))
    planes = [width * 2**stage for stage in range(4)]
    channels = [width, *(4 * p for p in planes)]
    for stage, (p, count) in enumerate(zip(planes, blocks, strict=True)):
      first = _Bottleneck(channels[stage], p, stride=2 if stage else 1)
      more = (_Bottleneck(4 * p, p, stride=1) for _ in range(count - 1))
      setattr(self, f'layer{stage + 1}', nn.Sequential(first, *more))
    heads = max(dim // 64, 1)
    self.attnpool = _AttentionPool(image_size // 32, dim, heads, out_dim)

  def forward(self, images):
    """Maps [b, 3, H, W] to [b, K]."""
    x = functional.relu(self.bn1(self.conv1(images)))
    x = functional.relu(self.bn2(self.conv2(x)))
    x = functional.relu(self.bn3(self.conv3(x)))
    x = functional.avg_pool2d(x, 2)
    for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
      x = stage(x)
    return self.attnpool(x)


class CLIP(nn.Module):
  """Both towers and the factor of the cosines."""

  def __init__(self, visual, vocab_size, length, out_dim, **sizes):
    super().__init__()
    dim = sizes['dim']
    self.visual = visual
    self.transformer = _Transformer(**sizes)
    self.token_embedding = nn.Embedding(vocab_size, dim)
    self.positional_embedding = nn.Parameter(torch.zeros(length, dim))
    self.ln_final = nn.LayerNorm(dim)
    self.text_projection = nn.Parameter(torch.zeros(dim, out_dim))
    self.logit_scale = nn.Parameter(torch.zeros(()))

  def forward(self, images, text):
    """Returns unit vectors of images, of texts, and logits [images, texts]."""
    length = text.shape[1]
    mask = torch.full((length, length), float('-inf')).triu(1)
    y = self.token_embedding(text) + self.positional_embedding
    y = self.ln_final(self.transformer(y, mask))
    y = y[torch.arange(len(y)), text.argmax(1)] @ self.text_projection
    x, y = (functional.normalize(v) for v in (self.visual(images), y))
    return x, y, self.logit_scale.exp() * x @ y.T


def randomize(model: nn.Module, seed: int = 0) -> nn.Module:
  """Draws every tensor of a model, so that no swap can hide.

  Matrices get the variance 1 / inputs, so that any width keeps its scale.
  """
  draws = torch.Generator().manual_seed(seed)
  named = itertools.chain(model.named_parameters(), model.named_buffers())
  with torch.no_grad():
    for name, tensor in named:
      if not tensor.is_floating_point():
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
