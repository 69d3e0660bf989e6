import jax
import numpy as np
import pytest

from benchmarks.peers.workloads import Workload
from jaxssl import models
from jaxssl.methods.simclr import SimCLR

TEMPERATURE = 0.5
WORKLOADS = {
  'resnet': Workload(
    encoder='resnet18',
    options={'stem': 'cifar', 'width': 0.125},
    timm='resnet18',
    timm_options={'channels': (8, 16, 32, 64)},
    size=16,
    batch=3,
    optimizer='sgd',
  ),
  'vit': Workload(
    encoder='vit_ti4',
    options={'dim': 32, 'depth': 2, 'num_heads': 2},
    timm='vit_tiny_patch16_224',
    timm_options={
      'img_size': 16,
      'patch_size': 4,
      'embed_dim': 32,
      'depth': 2,
      'num_heads': 2,
    },
    size=16,
    batch=3,
    optimizer='adamw',
  ),
}


@pytest.mark.reference
@pytest.mark.parametrize('name', WORKLOADS)
def test_both_sides_of_the_benchmarks_have_the_same_loss(name):
  import torch

  from benchmarks.peers import torch_simclr

  work = WORKLOADS[name]
  draws = np.random.default_rng(0)
  shape = (work.batch, work.size, work.size, 3)
  views = tuple(draws.standard_normal(shape, np.float32) for _ in range(2))
  method = SimCLR(
    encoder=models.make_encoder(work.encoder, **work.options),
    head=models.SimCLRHead(num_layers=2),
    temperature=TEMPERATURE,
  )
  key = jax.random.key(0)
  params, stats = jax.jit(method.init)(key, {'views': views})
  loss, _ = jax.jit(method.loss)(
    params, stats, {'views': views}, key=key, step=0
  )
  net = torch_simclr.network(work)
  torch_simclr.load(net, params, stats)
  with torch.no_grad():
    z = net(torch.cat([torch_simclr.to_torch(v) for v in views]))
    theirs = torch_simclr.nt_xent(z, TEMPERATURE).item()
  count = sum(leaf.size for leaf in jax.tree.leaves(params))
  assert torch_simclr.num_parameters(net) == count
  # Rounding, which BatchNorm over six rows amplifies.
  np.testing.assert_allclose(loss, theirs, rtol=1e-4)
