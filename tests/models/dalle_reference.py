"""DALL-E's networks transcribed to PyTorch, with the names of the release."""

from collections import OrderedDict

import torch
from torch import nn


class Conv(nn.Module):
  """A convolution whose parameters are called `w` and `b`."""

  def __init__(self, inputs, outputs, size):
    super().__init__()
    self.w = nn.Parameter(torch.randn(outputs, inputs, size, size))
    self.b = nn.Parameter(0.1 * torch.randn(outputs))
    self.w.data /= (inputs * size * size) ** 0.5

  def forward(self, x):
    pad = self.w.shape[-1] // 2
    return nn.functional.conv2d(x, self.w, self.b, padding=pad)


class Block(nn.Module):
  def __init__(self, inputs, outputs, sizes, layers):
    super().__init__()
    self.gain = 1 / layers**2
    self.id_path = nn.Identity()
    if inputs != outputs:
      self.id_path = Conv(inputs, outputs, 1)
    hidden = outputs // 4
    widths = [inputs, hidden, hidden, hidden, outputs]
    self.res_path = nn.Sequential(OrderedDict())
    for i, size in enumerate(sizes):
      self.res_path.add_module(f'relu_{i + 1}', nn.ReLU())
      conv = Conv(widths[i], widths[i + 1], size)
      self.res_path.add_module(f'conv_{i + 1}', conv)

  def forward(self, x):
    return self.id_path(x) + self.gain * self.res_path(x)


def _network(first, groups, last, blocks, sizes, between):
  """A network of groups of residual blocks, `between` after all but one."""
  layers = OrderedDict(input=first)
  width = first.w.shape[0]
  for g, outputs in enumerate(groups, start=1):
    group = OrderedDict()
    for b in range(1, blocks + 1):
      group[f'block_{b}'] = Block(width, outputs, sizes, 4 * blocks)
      width = outputs
    if g < len(groups):
      group['resize'] = between
    layers[f'group_{g}'] = nn.Sequential(group)
  layers['output'] = nn.Sequential(OrderedDict(relu=nn.ReLU(), conv=last))
  return nn.Sequential(OrderedDict(blocks=nn.Sequential(layers)))


def encoder(width, blocks, vocabulary):
  """Returns the encoder: [b, 3, H, W] to logits [b, K, H / 8, W / 8]."""
  return _network(
    Conv(3, width, 7),
    [width * 2**g for g in range(4)],
    Conv(8 * width, vocabulary, 1),
    blocks,
    (3, 3, 3, 1),
    nn.MaxPool2d(2),
  )


def decoder(width, blocks, vocabulary, init_width):
  """Returns the decoder: [b, K, h, w] to [b, 6, 8 h, 8 w]."""
  return _network(
    Conv(vocabulary, init_width, 1),
    [width * 2**g for g in (3, 2, 1, 0)],
    Conv(width, 6, 1),
    blocks,
    (1, 3, 3, 3),
    nn.Upsample(scale_factor=2, mode='nearest'),
  )
