from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import errors, models
from jaxssl.methods import Data2Vec
from jaxssl.weights import timm as timm_weights
from tests.models import timm_reference

ROWS, SIZE, DIM, DEPTH = 3, 32, 32, 3


def make_method(**changes):
  encoder = models.make_encoder(
    'vit_ti8', dim=DIM, depth=DEPTH, num_heads=4, use_mask_token=True
  )
  return Data2Vec(
    **{
      'encoder': encoder,
      'num_masked': 7,
      'min_block': 2,
      'num_blocks': 2,
      **changes,
    }
  )


@pytest.fixture(scope='module')
def started():
  """The method, its parameters, and a slow encoder that has other ones."""
  method, images = make_method(), timm_reference.images(SIZE, ROWS)
  params, _ = jax.jit(method.init)(jax.random.key(0), {'views': (images,)})

  def moved(tree, seed):
    draws = np.random.default_rng(seed)
    return jax.tree.map(
      lambda x: x + 0.1 * draws.standard_normal(x.shape, np.float32), tree
    )

  slow = moved(params['encoder'], 2)
  return method, moved(params, 1), {'slow': {'encoder': slow}}


def _masks():
  """Rows that hide different numbers of patches, 7 at most."""
  random = np.random.default_rng(2)
  mask = np.zeros((ROWS, 16), bool)
  for row, count in enumerate((7, 3, 5)):
    mask[row, random.permutation(16)[:count]] = True
  return mask


def _torch_encoder(params):
  import timm
  import torch

  model = timm.create_model(
    'vit_tiny_patch16_224',
    img_size=SIZE,
    patch_size=8,
    embed_dim=DIM,
    depth=DEPTH,
    num_heads=4,
    num_classes=0,
  )
  tensors = timm_weights.to_timm({'params': params})
  model.load_state_dict(
    {k: torch.from_numpy(np.array(v)) for k, v in tensors.items()}
  )
  return model


def _torch_blocks(model, images, mask=None, token=None):
  """Patches after each block, and after the final norm."""
  import torch

  x = model.patch_embed(timm_reference.to_torch(images))
  if mask is not None:
    x = torch.where(torch.from_numpy(mask)[..., None], token, x)
  x = torch.cat([model.cls_token.expand(len(x), -1, -1), x], 1)
  x = x + model.pos_embed
  outputs = []
  for block in model.blocks:
    x = block(x)
    outputs.append(x[:, 1:])
  return outputs, model.norm(x)[:, 1:]


@pytest.mark.reference
def test_loss_and_gradient_equal_pytorch(started):
  import torch
  from torch.nn import functional

  method, params, state = started
  images, mask = timm_reference.images(SIZE, ROWS), _masks()
  slow = _torch_encoder(state['slow']['encoder'])
  with torch.no_grad():
    blocks, _ = _torch_blocks(slow, images)
    target = sum(functional.layer_norm(b, (DIM,)) for b in blocks[1:]) / 2
    target = functional.layer_norm(target, (DIM,))
  model = _torch_encoder(params['encoder'])
  token, kernel, bias = (
    torch.from_numpy(np.array(x)).requires_grad_()
    for x in (
      params['encoder']['mask_token'],
      params['head']['kernel'],
      params['head']['bias'],
    )
  )
  _, tokens = _torch_blocks(model, images, mask, token)
  predicted = tokens[torch.from_numpy(mask)] @ kernel + bias
  theirs = functional.smooth_l1_loss(
    predicted, target[torch.from_numpy(mask)], beta=2.0
  )
  theirs.backward()

  def loss(params):
    with mock.patch.object(Data2Vec, 'draw_mask', return_value=mask):
      value, aux = method.loss(
        params,
        state,
        {'views': (images,)},
        key=jax.random.key(0),
        step=jnp.zeros((), jnp.int32),
      )
    return value, aux.metrics

  (value, metrics), ours = jax.jit(jax.value_and_grad(loss, has_aux=True))(
    params
  )
  assert float(value) == pytest.approx(theirs.item(), rel=1e-5)
  assert float(metrics['masked_share']) == pytest.approx(15 / 48)
  spread = target.reshape(-1, DIM).var(0, correction=0).mean().sqrt()
  assert float(metrics['target_spread']) == pytest.approx(
    spread.item(), rel=1e-4
  )
  named = timm_weights.to_timm({'params': ours['encoder']})
  named |= {
    'token': ours['encoder']['mask_token'],
    'kernel': ours['head']['kernel'],
    'bias': ours['head']['bias'],
  }
  wanted = {n: p.grad for n, p in model.named_parameters()}
  wanted |= {'token': token.grad, 'kernel': kernel.grad, 'bias': bias.grad}
  for name, gradient in wanted.items():
    error = np.linalg.norm(named[name] - gradient.numpy())
    # Sums run in another order.
    assert error < 1e-4 * np.linalg.norm(gradient.numpy()), name


def test_slow_network_follows(started):
  method, params, state = started
  _, new = method.update(params, state, (), step=jnp.zeros((), jnp.int32))
  old = state['slow']['encoder']['cls_token']
  expected = 0.9998 * old + 0.0002 * params['encoder']['cls_token']
  np.testing.assert_allclose(
    new['slow']['encoder']['cls_token'], expected, rtol=1e-6
  )


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'encoder': models.make_encoder('resnet18')}, 'needs a vision transf'),
    ({'encoder': models.make_encoder('vit_ti8')}, 'use_mask_token=True'),
    ({'num_blocks': 4}, 'the encoder has 3 blocks'),
    ({'beta': 0.0}, r'Data2Vec beta is 0\.0; it must'),
  ],
)
def test_wrong_fields_are_user_errors(changes, message):
  with pytest.raises(errors.UserError, match=message):
    make_method(**changes)


def test_more_hidden_patches_than_there_are():
  batch = {'views': (jnp.zeros((1, SIZE, SIZE, 3)),)}
  with pytest.raises(errors.UserError, match='32x32 have 16 patches'):
    make_method(num_masked=17).init(jax.random.key(0), batch)
