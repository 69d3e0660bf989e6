"""Methods in PyTorch from the parts of lightly, to compare ours with.

Each has `encoder` (what evaluation sees), `parameters()` (what the optimizer
changes), `loss(views)`, which the gradient is taken of, and `after_step()`,
which runs after the optimizer. Networks start with weights of jaxssl.
"""

from collections.abc import Callable
import copy
import math
from typing import Any

import numpy as np
import torch
from torch import nn
import torch.nn.functional as F

from benchmarks.peers import torch_simclr

torch_simclr.libraries()

NUM_ROTATIONS = 4
PyTree = Any
Views = list[torch.Tensor]


class SimCLR:
  """NT-Xent of two views in one forward pass."""

  def __init__(
    self,
    net: nn.Sequential,
    *,
    temperature: float,
    criterion: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    | None = None,
  ):
    from lightly.loss import NTXentLoss

    self.net, self.encoder = net, net[0]
    # lightly's selects by a mask, for which a GPU has to be waited for.
    self._criterion = criterion or NTXentLoss(temperature=temperature)

  def parameters(self) -> list[nn.Parameter]:
    """Returns what the optimizer changes."""
    return trainable(self.net)

  def loss(self, views: Views) -> torch.Tensor:
    """Returns the loss of views [b, 3, H, W]."""
    return self._criterion(*self.net(torch.cat(views)).chunk(2))

  def after_step(self) -> None:
    """Nothing moves but the network itself."""


class VICReg:
  """Invariance, variance and covariance as in the authors' main_vicreg.py.

  lightly's loss halves the covariance over the views.
  """

  def __init__(self, net: nn.Sequential):
    self.net, self.encoder = net, net[0]

  def parameters(self) -> list[nn.Parameter]:
    """Returns what the optimizer changes."""
    return trainable(self.net)

  def loss(self, views: Views) -> torch.Tensor:
    """Returns the loss of views [b, 3, H, W], each with its own statistics."""
    z = [self.net(view) for view in views]
    covariances = [torch.cov(one.T) for one in z]
    hinges = [
      F.relu(1 - (c.diagonal() + 1e-4).sqrt()).mean() for c in covariances
    ]
    others = [
      (c - c.diagonal().diag()).square().sum() / len(c) for c in covariances
    ]
    return 25 * F.mse_loss(*z) + 25 * sum(hinges) / 2 + sum(others)

  def after_step(self) -> None:
    """Nothing moves but the network itself."""


class MoCo:
  """MoCo v2: lightly's memory bank is the queue."""

  def __init__(
    self, net: nn.Sequential, *, queue: Any, temperature: float, momentum: float
  ):
    from lightly.loss import NTXentLoss

    self.net, self.encoder, self.momentum = net, net[0], momentum
    self.slow = copy.deepcopy(net)
    self._criterion = NTXentLoss(temperature, memory_bank_size=queue.shape)
    self.set_queue(queue)

  def set_queue(self, queue: Any) -> None:
    """Replaces the keys by others [K, D]."""
    self._criterion.memory_bank.bank = torch.tensor(np.array(queue))

  @property
  def queue(self) -> np.ndarray:
    """Keys [K, D], as lightly keeps them."""
    return self._criterion.memory_bank.bank.cpu().numpy()

  def parameters(self) -> list[nn.Parameter]:
    """Returns what the optimizer changes."""
    return trainable(self.net)

  def loss(self, views: Views) -> torch.Tensor:
    """Returns the loss of views [b, 3, H, W]."""
    move(self.slow, self.net, self.momentum)
    with torch.no_grad():
      keys = self.slow(views[1])
    return as_it_is(self._criterion, self.net(views[0]), keys)

  def after_step(self) -> None:
    """The slow network moves before its keys are computed."""


class MoCoV3:
  """MoCo v3 in the order of the authors' `forward`; lightly has no loss."""

  def __init__(
    self,
    net: nn.Sequential,
    predictor: nn.Module,
    *,
    temperature: float,
    momentum: float,
  ):
    self.net, self.encoder, self.predictor = net, net[0], predictor
    self.slow = copy.deepcopy(net)
    self.temperature, self.momentum = temperature, momentum

  def parameters(self) -> list[nn.Parameter]:
    """Returns what the optimizer changes."""
    return trainable(self.net) + trainable(self.predictor)

  def loss(self, views: Views) -> torch.Tensor:
    """Returns the loss of views [b, 3, H, W]."""
    queries = [self.predictor(self.net(view)) for view in views]
    move(self.slow, self.net, self.momentum)
    with torch.no_grad():
      keys = [self.slow(view) for view in views]
    return self._contrast(queries[0], keys[1]) + self._contrast(
      queries[1], keys[0]
    )

  def after_step(self) -> None:
    """The slow network moves before its keys are computed."""

  def _contrast(self, queries, keys):
    logits = F.normalize(queries) @ F.normalize(keys).T / self.temperature
    labels = torch.arange(len(logits), device=logits.device)
    return 2 * self.temperature * F.cross_entropy(logits, labels)


class BYOL:
  """BYOL with lightly's cosine; the slow network moves after the optimizer."""

  def __init__(
    self, net: nn.Sequential, predictor: nn.Module, *, momentum: float
  ):
    from lightly.loss import NegativeCosineSimilarity

    self.net, self.encoder, self.predictor = net, net[0], predictor
    self.slow, self.momentum = copy.deepcopy(net), momentum
    self._criterion = NegativeCosineSimilarity()

  def parameters(self) -> list[nn.Parameter]:
    """Returns what the optimizer changes."""
    return trainable(self.net) + trainable(self.predictor)

  def loss(self, views: Views) -> torch.Tensor:
    """Returns the loss of views [b, 3, H, W]: 2 - 2 cos, both directions."""
    first, second = (self.predictor(self.net(view)) for view in views)
    with torch.no_grad():
      targets = [self.slow(view) for view in views]
    cosines = self._criterion(first, targets[1]) + self._criterion(
      second, targets[0]
    )
    return 4 + 2 * cosines

  def after_step(self) -> None:
    """The slow network follows the new parameters."""
    move(self.slow, self.net, self.momentum)


class SwAV:
  """SwAV with lightly's loss, and the authors' queue on one GPU."""

  def __init__(
    self, net: nn.Sequential, prototypes: nn.Linear, *, queue_size: int
  ):
    from lightly.loss import SwaVLoss

    self.net, self.encoder, self.prototypes = net, net[0], prototypes
    width = prototypes.weight.shape[1]
    self.queue = torch.zeros(2, queue_size, width)
    self._criterion = SwaVLoss()

  def parameters(self) -> list[nn.Parameter]:
    """Returns what the optimizer changes."""
    return trainable(self.net) + trainable(self.prototypes)

  def loss(self, views: Views) -> torch.Tensor:
    """Returns the loss of two large and some small views [b, 3, H, W]."""
    rows, small = len(views[0]), views[2:]
    features = [self.net[0](torch.cat(views[:2]))]
    if small:
      features.append(self.net[0](torch.cat(small)))
    z = F.normalize(self.net[1](torch.cat(features)), dim=1)
    scores = self.prototypes(z).split(rows)
    full = bool(self.queue[:, -1].any())
    queued = [self.prototypes(q) for q in self.queue] if full else None
    new = torch.stack(z.detach().split(rows)[:2])
    length = self.queue.shape[1]
    self.queue = torch.cat([new, self.queue], dim=1)[:, :length]
    return self._criterion(list(scores[:2]), list(scores[2:]), queued)

  def after_step(self) -> None:
    """The prototypes are unit vectors, as before each pass of the authors'."""
    with torch.no_grad():
      self.prototypes.weight.copy_(F.normalize(self.prototypes.weight, dim=1))


class DINO:
  """DINO with lightly's loss, which holds the centre.

  The teacher is given: PyTorch cannot copy a weight-normed layer.
  """

  def __init__(
    self,
    net: nn.Sequential,
    slow: nn.Sequential,
    *,
    out_dim: int,
    teacher_temperature: float,
    momentum: float,
    num_global: int = 2,
  ):
    from lightly.loss import DINOLoss

    self.net, self.slow, self.encoder = net, slow, slow[0]
    self.momentum, self.num_global = momentum, num_global
    self.criterion = DINOLoss(out_dim)
    self._temperature = teacher_temperature

  def parameters(self) -> list[nn.Parameter]:
    """Returns what the optimizer changes."""
    return trainable(self.net)

  def loss(self, views: Views) -> torch.Tensor:
    """Returns the loss of views [b, 3, H, W]."""
    large, small = views[: self.num_global], views[self.num_global :]
    with torch.no_grad():
      teacher = self.slow(torch.cat(large)).chunk(len(large))
    # One forward pass a resolution, as the authors.
    features = [self.net[0](torch.cat(v)) for v in (large, small) if v]
    student = self.net[1](torch.cat(features)).chunk(len(views))
    return self.criterion(
      list(teacher), list(student), teacher_temp=self._temperature
    )

  def after_step(self) -> None:
    """The teacher follows the new parameters."""
    move(self.slow, self.net, self.momentum)


class IBOT:
  """iBOT in the order of the authors' main_ibot.py, around lightly's parts.

  lightly's DINO holds the centre of the pictures. The loss of patches is
  written out: lightly's takes the centre of the hidden ones alone.
  """

  def __init__(
    self,
    net: nn.Sequential,
    slow: nn.Sequential,
    mask_token: nn.Parameter,
    *,
    hide: Callable[[torch.Tensor], torch.Tensor],
    out_dim: int,
    temperatures: tuple[float, float],
    momentum: float,
  ):
    from lightly.models.modules import MaskedVisionTransformerTIMM

    self._dino = DINO(
      net,
      slow,
      out_dim=out_dim,
      teacher_temperature=temperatures[0],
      momentum=momentum,
    )
    self.net, self.slow, self.encoder = net, slow, net[0]
    self.criterion, self.mask_token = self._dino.criterion, mask_token
    self.patch_center = torch.zeros(out_dim)
    self._student, self._teacher = (
      MaskedVisionTransformerTIMM(
        each[0], mask_token, 'skip', pos_embed_initialization='skip'
      )
      for each in (net, slow)
    )
    self._hide, self._temperatures = hide, temperatures

  def parameters(self) -> list[nn.Parameter]:
    """Returns what the optimizer changes."""
    return [*trainable(self.net), self.mask_token]

  def loss(self, views: Views) -> torch.Tensor:
    """Returns the loss of views [b, 3, H, W], the first two of them masked."""
    large, rows = torch.cat(views[:2]), len(views[0])
    hidden = self._hide(large)
    none = torch.zeros(len(hidden), 1, dtype=torch.bool)  # the class token
    tokens = self._student.encode(large, mask=torch.cat([none, hidden], 1))
    small = [self._student.encode(view)[:, 0] for view in views[2:]]
    classes = self.net[1](torch.cat([tokens[:, 0], *small]))
    with torch.no_grad():
      targets = self.slow[1](self._teacher.encode(large))
    loss = self.criterion(
      list(targets[:, 0].split(rows)),
      list(classes.split(rows)),
      teacher_temp=self._temperatures[0],
    )
    return loss + self._patch_loss(
      targets[:, 1:], self.net[1](tokens[:, 1:]), hidden
    )

  def _patch_loss(
    self, teacher: torch.Tensor, student: torch.Tensor, hidden: torch.Tensor
  ) -> torch.Tensor:
    targets = (teacher - self.patch_center) / self._temperatures[1]
    entropies = -(targets.softmax(-1) * (student / 0.1).log_softmax(-1)).sum(-1)
    count = hidden.sum(1).clamp(min=1)
    mean = teacher.mean((0, 1))
    self.patch_center = 0.9 * self.patch_center + 0.1 * mean
    return ((entropies * hidden).sum(1) / count).mean()

  def after_step(self) -> None:
    """The teacher follows the new parameters."""
    self._dino.after_step()


class MAE:
  """MAE around timm's vision transformer, weights initialised by lightly."""

  def __init__(
    self,
    vit: nn.Module,
    *,
    mask_ratio: float,
    decoder_dim: int,
    decoder_depth: int,
    decoder_heads: int,
  ):
    from lightly.models import modules

    self.encoder = vit
    self._masked = modules.MaskedVisionTransformerTIMM(vit)
    vit.pos_embed.requires_grad_(False)
    self._patch = vit.patch_embed.patch_size[0]
    self._ratio = mask_ratio
    self._embed = nn.Linear(vit.embed_dim, decoder_dim)
    self._decoder = modules.MaskedVisionTransformerDecoderTIMM(
      num_patches=vit.patch_embed.num_patches,
      embed_dim=decoder_dim,
      depth=decoder_depth,
      num_heads=decoder_heads,
    )
    self._predict = nn.Linear(decoder_dim, 3 * self._patch**2)
    for layer in (self._embed, self._predict):
      nn.init.xavier_uniform_(layer.weight)
      nn.init.zeros_(layer.bias)

  def parameters(self) -> list[nn.Parameter]:
    """Returns what the optimizer changes."""
    # `mask_token` of the encoder and its classifier's norm have no gradient.
    parts = (self.encoder, self._embed, self._decoder, self._predict)
    return [p for part in parts for p in trainable(part)]

  def loss(self, views: Views) -> torch.Tensor:
    """Returns the loss of views [b, 3, H, W]."""
    from lightly.models import utils

    (images,) = views
    size = (len(images), self._masked.sequence_length)
    keep, hidden = utils.random_token_mask(
      size, mask_ratio=self._ratio, device=images.device
    )
    seen = self._embed(self._masked.encode(images, idx_keep=keep))
    # Under autocast, tokens come in half precision and the parameter does not.
    empty = self._decoder.mask_token.to(seen.dtype)
    tokens = utils.repeat_token(empty, size)
    tokens = utils.set_at_index(tokens, keep, seen)
    decoded = utils.get_at_index(self._decoder(tokens), hidden)
    # Places count the class token, patches do not.
    target = utils.get_at_index(utils.patchify(images, self._patch), hidden - 1)
    return F.mse_loss(self._predict(decoded), utils.normalize_mean_var(target))

  def after_step(self) -> None:
    """There is only one network."""


class Rotation:
  """Four quarter turns of an image, told apart by a linear classifier."""

  def __init__(self, net: nn.Sequential):
    self.net, self.encoder = net, net[0]

  def parameters(self) -> list[nn.Parameter]:
    """Returns what the optimizer changes."""
    return trainable(self.net)

  def loss(self, views: Views) -> torch.Tensor:
    """Returns the loss of views [b, 3, H, H]."""
    turned = [torch.rot90(views[0], k, (2, 3)) for k in range(NUM_ROTATIONS)]
    images = torch.stack(turned, 1).flatten(0, 1)
    images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.arange(NUM_ROTATIONS, device=images.device)
    return F.cross_entropy(self.net(images), labels.repeat(len(views[0])))

  def after_step(self) -> None:
    """There is only one network."""


class CLIP:
  """open_clip's model, and its loss on one device."""

  def __init__(self, model: nn.Module):
    self.model, self.encoder = model, model.visual

  def parameters(self) -> list[nn.Parameter]:
    """Returns what the optimizer changes."""
    return trainable(self.model)

  def loss(self, views: Views) -> torch.Tensor:
    """Returns the loss of images [b, 3, H, W] and token ids [b, L]."""
    x, y, scale = self.model(*views)
    logits = scale * x @ y.T
    labels = torch.arange(len(logits), device=logits.device)
    return (
      F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)
    ) / 2

  def after_step(self) -> None:
    """Keeps the temperature in the bounds of CLIP."""
    with torch.no_grad():
      self.model.logit_scale.clamp_(0.0, math.log(100.0))


def trainable(module: nn.Module) -> list[nn.Parameter]:
  return [p for p in module.parameters() if p.requires_grad]


@torch.compiler.disable
def as_it_is(module: nn.Module, *args: torch.Tensor) -> torch.Tensor:
  """Calls a module that `torch.compile` shall leave alone.

  The place in lightly's memory bank is a number that changes every step, and
  each would be compiled anew.
  """
  return module(*args)


@torch.compiler.disable
def move(slow: nn.Module, fast: nn.Module, momentum: float) -> None:
  """Moves the parameters; buffers are those of each network."""
  from lightly.models import utils

  with torch.no_grad():
    utils.update_momentum(fast, slow, momentum)


def moco_head(dim: int, out_dim: int) -> nn.Module:
  from lightly.models.modules import MoCoProjectionHead

  return MoCoProjectionHead(dim, dim, out_dim, batch_norm=False)


def moco_v3_mlp(
  dim: int, hidden: int, out_dim: int, *, num_layers: int
) -> nn.Sequential:
  """Returns `MoCoV3Head` with `last_bn`; the last norm has no parameters."""
  layers = []
  for i in range(num_layers):
    last = i == num_layers - 1
    width = out_dim if last else hidden
    layers += [nn.Linear(dim, width, bias=False)]
    layers += [nn.BatchNorm1d(width, affine=not last)]
    layers += [] if last else [nn.ReLU()]
    dim = width
  return nn.Sequential(*layers)


def dino_head(
  dim: int, hidden: int, bottleneck: int, out_dim: int, use_bn: bool = False
):
  from lightly.models.modules import DINOProjectionHead

  return DINOProjectionHead(dim, hidden, bottleneck, out_dim, batch_norm=use_bn)
