"""The PyTorch side of the quality benchmark, as a user of lightly has it."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch

from benchmarks import torch_simclr
from benchmarks.workloads import Workload


def network(width: float, params: Any, stats: Any) -> torch.nn.Module:
  """Returns timm's ResNet-18 with lightly's head, with weights of jaxssl."""
  channels = tuple(int(64 * 2**stage * width) for stage in range(4))
  work = Workload(
    encoder='resnet18',
    options={'stem': 'cifar'},
    timm='resnet18',
    timm_options={'channels': channels},
    size=0,
    batch=0,
    optimizer='sgd',
  )
  net = torch_simclr.network(work)
  torch_simclr.load(net, params, stats)
  return net


def make_transform(
  size: int, strength: float
) -> Callable[[torch.Tensor], torch.Tensor]:
  """Returns SimCLR's CIFAR recipe on uint8 tensors [3, H, W]."""
  from torchvision.transforms import v2

  wide = 0.8 * strength
  return v2.Compose(
    [
      v2.ToDtype(torch.float32, scale=True),
      v2.RandomResizedCrop(size),
      v2.RandomHorizontalFlip(),
      v2.RandomApply([v2.ColorJitter(wide, wide, wide, 0.2 * strength)], 0.8),
      v2.RandomGrayscale(0.2),
    ]
  )


class Pairs(torch.utils.data.Dataset):
  """Two views of each image."""

  def __init__(self, images: np.ndarray, strength: float):
    self._images = torch.from_numpy(images.transpose(0, 3, 1, 2).copy())
    self._transform = make_transform(images.shape[1], strength)

  def __len__(self) -> int:
    return len(self._images)

  def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
    image = self._images[index]
    return self._transform(image), self._transform(image)


def endless(loader) -> Iterator[Any]:
  while True:
    yield from loader


def train(net, images: np.ndarray, settings: Any, seed: int) -> float:
  """Trains `net` in place; returns the last loss."""
  from lightly.loss import NTXentLoss

  torch.manual_seed(seed)
  loader = torch.utils.data.DataLoader(
    Pairs(images, settings.strength),
    batch_size=settings.batch,
    shuffle=True,
    drop_last=True,
  )
  net.train().to(memory_format=torch.channels_last)
  optimizer = torch.optim.SGD(
    [p for p in net.parameters() if p.requires_grad],
    lr=settings.learning_rate,
    momentum=0.9,
    weight_decay=settings.weight_decay,
  )
  schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
    optimizer, settings.steps
  )
  criterion = NTXentLoss(temperature=settings.temperature)
  batches = endless(loader)
  for _ in range(settings.steps):
    # One forward pass, as jaxssl: BatchNorm sees both views together.
    z1, z2 = net(torch.cat(next(batches))).chunk(2)
    loss = criterion(z1, z2)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    schedule.step()
  return loss.item()


def encode_fn(net) -> Callable[[np.ndarray], np.ndarray]:
  """Returns the encoder in evaluation mode on uint8 images [b, H, W, 3]."""
  encoder = net[0].eval()

  def encode(images: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
      return encoder(torch_simclr.to_torch(images) / 255.0).numpy()

  return encode
