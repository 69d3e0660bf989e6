"""The PyTorch side of the quality benchmark, as a user of lightly has it."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.peers import torch_methods, torch_simclr, torch_weights
from benchmarks.peers.workloads import Workload
from benchmarks.quality import pipeline_recipes
from benchmarks.quality.pipeline_recipes import SIZE, VIT, WIDTH, Recipe
from jaxssl.methods import variables

Peer = Any


def make_peer(name: str, params: Any, state: Any) -> Peer:
  """Returns the method in PyTorch with the weights of jaxssl.

  MAE's decoder and class token start from lightly's own values, which have the
  same distribution.
  """
  recipe = pipeline_recipes.RECIPES[name]
  return _PEERS[name](recipe, params, state)


def _simclr(recipe: Recipe, params: Any, state: Any) -> Peer:
  net = _net(torch_simclr.projection_head(_DIM), params, state)
  return torch_methods.SimCLR(net, **recipe.method)


def _moco(recipe: Recipe, params: Any, state: Any) -> Peer:
  head = torch_methods.moco_head(_DIM, **recipe.head)
  options = {k: v for k, v in recipe.method.items() if k != 'queue_size'}
  return torch_methods.MoCo(
    _net(head, params, state['stats']), queue=state['queue'], **options
  )


def _dino(recipe: Recipe, params: Any, state: Any) -> Peer:
  sizes = recipe.head.values()
  net, slow = (
    _net(torch_methods.dino_head(_DIM, *sizes), params, state['stats'])
    for _ in range(2)
  )
  out_dim = recipe.head['out_dim']
  return torch_methods.DINO(net, slow, out_dim=out_dim, **recipe.method)


def _mae(recipe: Recipe, params: Any, state: Any) -> Peer:
  del state
  from timm.models.vision_transformer import VisionTransformer

  vit = VisionTransformer(img_size=SIZE, num_classes=0, **VIT)
  peer = torch_methods.MAE(vit, **recipe.method)
  tower = {'params': params['encoder']}
  torch_weights.load_encoder(vit, tower, computed=('pos_embed',))
  return peer


_DIM = int(512 * WIDTH)
_PEERS = {'simclr': _simclr, 'moco_v2': _moco, 'dino': _dino, 'mae': _mae}


def _net(head: nn.Module, params: Any, stats: Any) -> nn.Sequential:
  channels = tuple(int(64 * 2**stage * WIDTH) for stage in range(4))
  work = Workload(
    encoder='resnet18',
    timm='resnet18',
    timm_options={'channels': channels},
    size=0,
    batch=0,
    optimizer='sgd',
  )
  encoder = torch_simclr.encoder(work)
  stem = nn.Conv2d(3, channels[0], 7, stride=2, padding=3, bias=False)
  torch_simclr.set_stem(encoder, stem)
  torch_weights.load_encoder(encoder, variables.tower('encoder', params, stats))
  torch_weights.load_head(head, params['head'])
  net = nn.Sequential(encoder, head)
  return net.train().to(memory_format=torch.channels_last)


def make_transforms(
  recipe: Recipe,
) -> list[Callable[[torch.Tensor], torch.Tensor]]:
  """Returns torchvision's transform of uint8 tensors [3, H, W] of each view."""
  from torchvision.transforms import v2

  color = [
    v2.RandomApply([v2.ColorJitter(0.4, 0.4, 0.4, 0.1)], 0.8),
    v2.RandomGrayscale(0.2),
  ]
  return [
    v2.Compose(
      [
        v2.ToDtype(torch.float32, scale=True),
        v2.RandomResizedCrop(side, scale=(low, high)),
        v2.RandomHorizontalFlip(),
        *(color if recipe.color else []),
      ]
    )
    for side, low, high in recipe.crops
  ]


class Views(torch.utils.data.Dataset):
  """The views of each image."""

  def __init__(self, images: np.ndarray, recipe: Recipe):
    self._images = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
    self._transforms = make_transforms(recipe)

  def __len__(self) -> int:
    return len(self._images)

  def __getitem__(self, index: int) -> list[torch.Tensor]:
    return [transform(self._images[index]) for transform in self._transforms]


def endless(loader) -> Iterator[Any]:
  while True:
    yield from loader


def train(peer: Peer, images: np.ndarray, recipe: Recipe, seed: int) -> float:
  """Trains in place; returns the last loss."""
  torch.manual_seed(seed)
  loader = torch.utils.data.DataLoader(
    Views(images, recipe),
    batch_size=recipe.batch,
    shuffle=True,
    drop_last=True,
  )
  optimizer = make_optimizer(peer, recipe)
  schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, recipe.steps)
  batches = endless(loader)
  for _ in range(recipe.steps):
    loss = peer.loss(next(batches))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    peer.after_step()
    schedule.step()
  return loss.item()


def make_optimizer(peer: Peer, recipe: Recipe) -> torch.optim.Optimizer:
  """Returns SGD on everything, or AdamW that spares vectors from decay."""
  rate, decay = recipe.learning_rate, recipe.weight_decay
  parameters = peer.parameters()
  if recipe.optimizer == 'sgd':
    return torch.optim.SGD(
      parameters, lr=rate, momentum=0.9, weight_decay=decay
    )
  groups = [
    {'params': [p for p in parameters if p.ndim > 1], 'weight_decay': decay},
    {'params': [p for p in parameters if p.ndim <= 1], 'weight_decay': 0.0},
  ]
  return torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.95))


def encode_fn(peer: Peer) -> Callable[[np.ndarray], np.ndarray]:
  """Returns the encoder in evaluation mode on uint8 images [b, H, W, 3]."""
  encoder = peer.encoder.eval()

  def encode(images: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
      return encoder(torch_simclr.to_torch(images) / 255.0).numpy()

  return encode
