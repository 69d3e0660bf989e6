"""SimCLR in PyTorch from the parts of timm and lightly, for comparison."""

import functools
import importlib.util
import pathlib
from typing import Any

import jax
import numpy as np

from benchmarks.peers.workloads import Workload
from jaxssl.methods import variables

PyTree = Any


@functools.cache
def libraries() -> Any:
  """Defines what torchvision may miss on a CPU; keep the result alive.

  torchvision's wheel is built for CUDA. Beside a CPU build of PyTorch its
  compiled operators do not load, and importing it, timm or lightly fails
  unless the schemas of two of them exist. Beside PyTorch for CUDA they do load,
  and must not exist before.
  """
  import torch

  spec = importlib.util.find_spec('torchvision')
  try:
    torch.ops.load_library(str(pathlib.Path(spec.origin).parent / '_C.so'))
  except OSError:
    library = torch.library.Library('torchvision', 'FRAGMENT')
    for name in ('nms', 'qnms'):
      library.define(
        f'{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor'
      )
    return library
  return None


def encoder(work: Workload):
  """Returns timm's model without classifier, with the stem and width asked."""
  libraries()
  import timm
  from torch import nn

  model = timm.create_model(work.timm, num_classes=0, **work.timm_options)
  if work.options.get('stem') == 'cifar':
    channels = model.layer1[0].conv1.out_channels
    set_stem(model, nn.Conv2d(3, channels, 3, padding=1, bias=False))
    model.maxpool = nn.Identity()
  return model


def set_stem(model, conv) -> None:
  """Gives a timm ResNet with basic blocks a first convolution of any width.

  timm's has 64 channels, and a first block that projects them.
  """
  from timm.models.resnet import BasicBlock
  from torch import nn

  channels = conv.out_channels
  model.conv1 = conv
  model.bn1 = nn.BatchNorm2d(channels)
  model.layer1[0] = BasicBlock(channels, channels)


def projection_head(dim: int, out_dim: int = 128):
  """Returns lightly's head in the form of `SimCLRHead(num_layers=2)`."""
  libraries()
  from lightly.models.modules import SimCLRProjectionHead

  head = SimCLRProjectionHead(dim, dim, out_dim, num_layers=2)
  # SimCLR's last BatchNorm has no bias; lightly's has one, which stays zero.
  head.layers[-1].bias.requires_grad_(False)
  return head


def network(work: Workload):
  """Returns encoder and head in sequence, in training mode."""
  from torch import nn

  model = encoder(work)
  return nn.Sequential(model, projection_head(model.num_features)).train()


def load(net, params: PyTree, stats: PyTree) -> None:
  """Gives a `network` the weights of jaxssl's `Net`."""
  from benchmarks.peers import torch_weights

  torch_weights.load_encoder(net[0], variables.tower('encoder', params, stats))
  torch_weights.load_head(net[1], params['head'])


def num_parameters(net) -> int:
  """Returns the number of scalars that the optimizer changes."""
  return sum(p.numel() for p in net.parameters() if p.requires_grad)


def to_torch(views: jax.Array | np.ndarray):
  """Returns images [b, H, W, 3] as a tensor [b, 3, H, W]."""
  import torch

  return torch.from_numpy(np.array(views).transpose(0, 3, 1, 2).copy())


def nt_xent(z, temperature: float):
  """NT-Xent of [2b, K], both views one after the other, without branches.

  lightly's selects by a mask, at which `torch.compile` has to break the graph.
  """
  import torch
  import torch.nn.functional as F

  z = F.normalize(z, dim=1)
  rows = torch.arange(len(z), device=z.device)
  logits = z @ z.T / temperature
  logits = logits.masked_fill(rows[:, None] == rows[None], -1e9)
  return F.cross_entropy(logits, (rows + len(z) // 2) % len(z))
