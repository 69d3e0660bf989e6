"""Ten optimizer steps beside PyTorch: what a wrong order of updates breaks.

The momentum of the slow networks is 0.8 here, so that a copy that is one step
late is far outside the tolerance.
"""

import dataclasses
from unittest import mock

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.peers.workloads import Workload
from jaxssl import models
from jaxssl.methods import (
  BYOL,
  DINO,
  IBOT,
  MoCo,
  MoCoV3,
  SwAV,
  VICReg,
  trained_start,
  variables,
)
from jaxssl.ops import schedules
from jaxssl.train import optim
from jaxssl.train.state import TrainState
from jaxssl.train.step import train_step

STEPS, BATCH, SIZE, MOMENTUM = 10, 16, 16, 0.8
RESNET = Workload(
  encoder='resnet18',
  options={'stem': 'cifar', 'width': 0.125},
  timm='resnet18',
  timm_options={'channels': (8, 16, 32, 64)},
  size=SIZE,
  batch=BATCH,
  optimizer='sgd',
)
# Smooth. Below a head with BatchNorms a ResNet of this size is chaotic: an
# activation that rounding moves across the kink of a ReLU moves the loss by
# 1e-3 ten steps later, in PyTorch too.
VIT = Workload(
  encoder='vit_ti8',
  options={'dim': 32, 'depth': 2, 'num_heads': 4},
  timm='vit_tiny_patch16_224',
  timm_options={
    'img_size': SIZE,
    'patch_size': 8,
    'embed_dim': 32,
    'depth': 2,
    'num_heads': 4,
  },
  size=SIZE,
  batch=BATCH,
  optimizer='sgd',
)


def _encoder(work):
  return models.make_encoder(work.encoder, **work.options)


def _torch_net(work, head, params, stats):
  from torch import nn

  from benchmarks.peers import torch_simclr, torch_weights

  net = nn.Sequential(torch_simclr.encoder(work), head).train()
  tower = variables.tower('encoder', params, stats)
  torch_weights.load_encoder(net[0], tower)
  torch_weights.load_head(net[1], params['head'])
  return net


def _batches(sizes):
  draws = np.random.default_rng(0)
  return [
    tuple(draws.normal(size=(BATCH, s, s, 3)).astype(np.float32) for s in sizes)
    for _ in range(STEPS)
  ]


def _start(method, batches):
  return jax.jit(method.init)(jax.random.key(0), {'views': batches[0]})


def _ours(method, params, state, batches, rate, freeze_steps=0):
  tx = optim.make_optimizer(
    name='sgd',
    learning_rate=rate,
    weight_decay=1e-3,
    freeze_steps=freeze_steps,
  )
  zero = jnp.zeros((), jnp.int32)
  train = TrainState(zero, params, state, tx.init(params), jax.random.key(0))

  @jax.jit
  def step(train, views):
    return train_step(
      train,
      {'views': views},
      method=method,
      augment=lambda key, batch, axis_name: batch,
      tx=tx,
      freeze_steps=freeze_steps,
    )

  losses = []
  for views in batches:
    train, metrics = step(train, views)
    losses.append(float(metrics['loss']))
  return train, losses


def _theirs(peer, batches, rate, freeze_steps=0):
  import torch

  from benchmarks.peers.torch_simclr import to_torch

  optimizer = torch.optim.SGD(
    peer.parameters(), lr=1.0, momentum=0.9, weight_decay=1e-3
  )
  losses = []
  for i, views in enumerate(batches):
    optimizer.param_groups[0]['lr'] = float(rate(i))
    frozen = _copies(peer) if i < freeze_steps else []
    loss = peer.loss([to_torch(view) for view in views])
    optimizer.zero_grad()
    loss.backward()
    if frozen:
      for parameter in peer.net[0].parameters():
        parameter.grad = None  # what PyTorch's optimizers pass over
    optimizer.step()
    peer.after_step()
    for encoder, tensors in frozen:
      encoder.load_state_dict(tensors)
    losses.append(loss.item())
  return losses


def _copies(peer):
  """Encoders of a method with a slow network, and what they are now."""
  return [
    (net[0], {name: t.clone() for name, t in net[0].state_dict().items()})
    for net in (peer.net, peer.slow)
  ]


def _rate(start=0.003):
  # So small that an activation which rounding moves across the kink of a ReLU
  # does not matter; at 0.03 one such changes a weight by 1e-3.
  return schedules.cosine(start=start, num_steps=STEPS)


def _assert_equal_nets(params, stats, net):
  """Compares an encoder by its timm tensors, running statistics included."""
  from jaxssl.weights import timm as timm_weights

  ours = timm_weights.to_timm(variables.tower('encoder', params, stats))
  theirs = {name: t.numpy() for name, t in net[0].state_dict().items()}
  # Equal to 1e-6 as a rule, to 1e-4 past a kink. A copy that is a step late is
  # 2e-3 off.
  chex.assert_trees_all_close(
    ours, {name: theirs[name] for name in ours}, rtol=1e-3, atol=2e-4
  )


def _assert_equal_heads(params, head):
  """Compares a head by putting ours in the place of theirs."""
  import torch

  from benchmarks.peers import torch_weights

  # Not the lengths of DINO's prototypes, which are constants here.
  trained = {n: p for n, p in head.named_parameters() if p.requires_grad}
  theirs = {name: p.detach().clone() for name, p in trained.items()}
  with torch.no_grad():
    for parameter in trained.values():
      parameter.zero_()
  torch_weights.load_head(head, params)
  for name, parameter in trained.items():
    np.testing.assert_allclose(
      parameter.detach(), theirs[name], rtol=1e-3, atol=2e-4, err_msg=name
    )


def _assert_equal_statistics(stats, head):
  from torch import nn

  norms = [m for m in head.modules() if isinstance(m, nn.BatchNorm1d)]
  assert len(stats) == len(norms)
  for i, norm in enumerate(norms):
    ours = stats[f'bn_{i}']
    np.testing.assert_allclose(ours['mean'], norm.running_mean, atol=2e-4)
    np.testing.assert_allclose(ours['var'], norm.running_var, rtol=1e-3)


@pytest.mark.reference
def test_moco_v2():
  from benchmarks.peers import torch_methods

  method = MoCo(
    encoder=_encoder(RESNET),
    head=models.MoCoHead(out_dim=16),
    temperature=0.2,
    momentum=MOMENTUM,
    queue_size=3 * BATCH,
  )
  batches = _batches((SIZE, SIZE))
  params, state = _start(method, batches)
  net = _torch_net(
    RESNET, torch_methods.moco_head(64, 16), params, state['stats']
  )
  peer = torch_methods.MoCo(
    net, queue=state['queue'], temperature=0.2, momentum=MOMENTUM
  )
  theirs = _theirs(peer, batches, _rate())
  train, ours = _ours(method, params, state, batches, _rate())
  np.testing.assert_allclose(ours, theirs, rtol=2e-4)
  end = train.method_state
  _assert_equal_nets(train.params, end['stats'], peer.net)
  _assert_equal_nets(end['slow']['params'], end['slow']['stats'], peer.slow)
  _assert_equal_heads(train.params['head'], peer.net[1])
  _assert_equal_heads(end['slow']['params']['head'], peer.slow[1])
  np.testing.assert_allclose(end['queue'], peer.queue, atol=2e-3)


@pytest.mark.reference
def test_moco_v3():
  from benchmarks.peers import torch_methods, torch_weights

  head = models.MoCoV3Head(num_layers=2, hidden_dim=24, out_dim=16)
  method = MoCoV3(
    encoder=_encoder(VIT), head=head, temperature=0.3, momentum=MOMENTUM
  )
  batches = _batches((SIZE, SIZE))
  params, state = _start(method, batches)
  projector = torch_methods.moco_v3_mlp(32, 24, 16, num_layers=2)
  net = _torch_net(VIT, projector, params['net'], state['stats']['net'])
  predictor = torch_methods.moco_v3_mlp(16, 24, 16, num_layers=2)
  torch_weights.load_head(predictor, params['predictor'])
  peer = torch_methods.MoCoV3(
    net, predictor, temperature=0.3, momentum=MOMENTUM
  )
  theirs = _theirs(peer, batches, _rate())
  train, ours = _ours(method, params, state, batches, _rate())
  np.testing.assert_allclose(ours, theirs, rtol=2e-4)
  end = train.method_state
  _assert_equal_nets(train.params['net'], end['stats']['net'], peer.net)
  _assert_equal_nets(end['slow']['params'], end['slow']['stats'], peer.slow)
  _assert_equal_heads(train.params['net']['head'], peer.net[1])
  _assert_equal_heads(train.params['predictor'], peer.predictor)
  _assert_equal_heads(end['slow']['params']['head'], peer.slow[1])


@pytest.mark.reference
def test_byol():
  from benchmarks.peers import torch_methods, torch_weights

  head = models.MoCoV3Head(
    num_layers=2, hidden_dim=24, out_dim=16, last_bn=False
  )
  method = BYOL(encoder=_encoder(VIT), head=head, momentum=MOMENTUM)
  batches = _batches((SIZE, SIZE))
  params, state = _start(method, batches)
  projector = torch_methods.moco_v3_mlp(32, 24, 16, num_layers=2)[:-1]
  net = _torch_net(VIT, projector, params['net'], state['stats']['net'])
  predictor = torch_methods.moco_v3_mlp(16, 24, 16, num_layers=2)[:-1]
  torch_weights.load_head(predictor, params['predictor'])
  peer = torch_methods.BYOL(net, predictor, momentum=MOMENTUM)
  theirs = _theirs(peer, batches, _rate())
  train, ours = _ours(method, params, state, batches, _rate())
  np.testing.assert_allclose(ours, theirs, rtol=2e-4)
  end = train.method_state
  _assert_equal_nets(train.params['net'], end['stats']['net'], peer.net)
  _assert_equal_nets(end['slow']['params'], end['slow']['stats'], peer.slow)
  _assert_equal_heads(train.params['net']['head'], peer.net[1])
  _assert_equal_heads(train.params['predictor'], peer.predictor)
  _assert_equal_heads(end['slow']['params']['head'], peer.slow[1])


@pytest.mark.reference
@pytest.mark.parametrize(
  ('work', 'width', 'sizes', 'start'),
  [
    # At 0.003 views that differ by 2e-7 end up to 7e-4 apart in PyTorch alone,
    # as the code of a picture is a matter of all; here up to 1e-5.
    (RESNET, 64, (SIZE, SIZE, 8, 8), 3e-4),
    (VIT, 32, (SIZE, SIZE, SIZE, SIZE), 3e-3),
  ],
)
def test_swav(work, width, sizes, start):
  import torch
  from torch import nn

  from benchmarks.peers import torch_methods

  # The queue is full after three steps.
  method = SwAV(
    encoder=_encoder(work),
    head=models.MLPHead(hidden_dim=24, out_dim=16),
    num_prototypes=12,
    queue_size=40,
  )
  batches = _batches(sizes)
  params, state = _start(method, batches)
  projector = nn.Sequential(
    nn.Linear(width, 24, bias=False),
    nn.BatchNorm1d(24),
    nn.ReLU(),
    nn.Linear(24, 16),
  )
  net = _torch_net(work, projector, params, state['stats'])
  prototypes = nn.Linear(16, 12, bias=False)
  kernel = np.array(params['prototypes']['kernel'])
  prototypes.weight.data = torch.tensor(kernel.T)
  peer = torch_methods.SwAV(net, prototypes, queue_size=40)
  theirs = _theirs(peer, batches, _rate(start))
  train, ours = _ours(method, params, state, batches, _rate(start))
  np.testing.assert_allclose(ours, theirs, rtol=2e-4)
  _assert_equal_nets(train.params, train.method_state['stats'], peer.net)
  _assert_equal_heads(train.params['head'], peer.net[1])
  np.testing.assert_allclose(
    train.params['prototypes']['kernel'],
    prototypes.weight.detach().numpy().T,
    atol=2e-4,
  )
  queue = train.method_state['queue']
  np.testing.assert_allclose(queue, peer.queue, atol=2e-4)


@pytest.mark.reference
def test_vicreg():
  from benchmarks.peers import torch_methods

  head = models.MoCoV3Head(
    num_layers=2, hidden_dim=24, out_dim=16, last_bn=False
  )
  method = VICReg(encoder=_encoder(VIT), head=head)
  batches = _batches((SIZE, SIZE))
  params, state = _start(method, batches)
  expander = torch_methods.moco_v3_mlp(32, 24, 16, num_layers=2)[:-1]
  net = _torch_net(VIT, expander, params, state)
  theirs = _theirs(torch_methods.VICReg(net), batches, _rate())
  train, ours = _ours(method, params, state, batches, _rate())
  np.testing.assert_allclose(ours, theirs, rtol=2e-4)
  _assert_equal_nets(train.params, train.method_state, net)
  _assert_equal_heads(train.params['head'], net[1])


@pytest.mark.reference
@pytest.mark.parametrize(
  ('work', 'width', 'sizes', 'use_bn'),
  [
    (RESNET, 64, (SIZE, SIZE, 8, 8), False),
    (VIT, 32, (SIZE, SIZE, SIZE, SIZE), True),
  ],
)
@pytest.mark.parametrize('freeze_steps', [0, 3])
def test_dino(work, width, sizes, use_bn, freeze_steps):
  from benchmarks.peers import torch_methods

  out_dim = 32
  method = DINO(
    encoder=_encoder(work),
    head=models.DINOHead(
      hidden_dim=24, bottleneck_dim=12, out_dim=out_dim, use_bn=use_bn
    ),
    momentum=MOMENTUM,
  )
  batches = _batches(sizes)
  params, state = _start(method, batches)
  if freeze_steps:  # an adaptation: from trained weights, heads first
    params, state = _with_trained(method, params, state)
  net, slow = (
    _torch_net(
      work,
      torch_methods.dino_head(width, 24, 12, out_dim, use_bn),
      params,
      state['stats'],
    )
    for _ in range(2)
  )
  peer = torch_methods.DINO(
    net, slow, out_dim=out_dim, teacher_temperature=0.04, momentum=MOMENTUM
  )
  theirs = _theirs(peer, batches, _rate(), freeze_steps)
  train, ours = _ours(method, params, state, batches, _rate(), freeze_steps)
  np.testing.assert_allclose(ours, theirs, rtol=2e-4)
  end = train.method_state
  _assert_equal_nets(train.params, end['stats'], peer.net)
  teacher = end['slow']
  _assert_equal_nets(teacher['params'], teacher['stats'], peer.slow)
  _assert_equal_heads(train.params['head'], peer.net[1])
  _assert_equal_heads(teacher['params']['head'], peer.slow[1])
  for stats, head in (
    (end['stats'], peer.net[1]),
    (teacher['stats'], peer.slow[1]),
  ):
    _assert_equal_statistics(stats['batch_stats'].get('head', {}), head)
  center = peer.criterion.center.numpy().reshape(end['center'].shape)
  np.testing.assert_allclose(end['center'], center, atol=2e-4)


@pytest.mark.reference
def test_ibot():
  import torch

  from benchmarks.peers import torch_methods

  patch, out_dim = 4, 32
  work = dataclasses.replace(
    VIT, encoder='vit_ti4', timm_options=VIT.timm_options | {'patch_size': 4}
  )
  method = IBOT(
    encoder=models.make_encoder(
      work.encoder, **work.options, use_mask_token=True
    ),
    head=models.DINOHead(hidden_dim=24, bottleneck_dim=12, out_dim=out_dim),
    patch_temperature=0.06,
    momentum=MOMENTUM,
  )

  # Masks that follow from the pixels, so both sides draw the same, and each
  # step others. Some views hide no patch, and none more than half.
  def hide(channel):
    corners = channel[:, ::patch, ::patch].reshape(len(channel), -1)
    order = corners.argsort(1).argsort(1)
    return (corners > 0.8) & (order >= 8) & (corners[:, :1] > -0.5)

  def draw(self, keys, views):
    return jnp.stack([hide(view[..., 0]) for view in views])

  batches = _batches((SIZE,) * 4)
  params, state = _start(method, batches)
  token = torch.nn.Parameter(
    torch.tensor(np.array(params['encoder']['mask_token']))
  )
  net, slow = (
    _torch_net(
      work,
      torch_methods.dino_head(32, 24, 12, out_dim),
      _without_token(params),
      {},
    )
    for _ in range(2)
  )
  peer = torch_methods.IBOT(
    net,
    slow,
    token,
    hide=lambda images: hide(images[:, 0]),
    out_dim=out_dim,
    temperatures=(0.04, 0.06),
    momentum=MOMENTUM,
  )
  theirs = _theirs(peer, batches, _rate())
  with mock.patch.object(IBOT, 'draw_masks', draw):
    train, ours = _ours(method, params, state, batches, _rate())
  np.testing.assert_allclose(ours, theirs, rtol=2e-4)
  end = train.method_state
  for found, network in ((train.params, net), (end['slow'], slow)):
    _assert_equal_nets(_without_token(found), {}, network)
    _assert_equal_heads(found['head'], network[1])
  for found, center in (
    ('center', peer.criterion.center),
    ('patch_center', peer.patch_center),
  ):
    center = center.numpy().reshape(1, out_dim)
    np.testing.assert_allclose(end[found], center, atol=2e-4)
  found = train.params['encoder']['mask_token']
  np.testing.assert_allclose(found, token.detach(), rtol=1e-3, atol=2e-4)
  # It has moved, or nothing was hidden.
  moved = np.abs(found - params['encoder']['mask_token']).max()
  assert moved > 2e-3


def _without_token(params):
  """Parameters of a network, without what timm's encoder does not have."""
  encoder = dict(params['encoder'])
  del encoder['mask_token']
  return {**params, 'encoder': encoder}


def _with_trained(method, params, state):
  """Puts other weights of the size of the drawn ones into the encoders."""
  draws = np.random.default_rng(1)
  encoder = jax.tree.map(
    lambda x: np.asarray(
      x + 0.1 * np.std(x) * draws.normal(size=x.shape), np.float32
    ),
    method.export(params, state)['encoder'],
  )
  return trained_start.with_towers(method, params, state, {'encoder': encoder})
