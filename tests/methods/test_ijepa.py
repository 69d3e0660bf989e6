"""I-JEPA beside PyTorch: the paper's algorithm in timm's blocks, row by row."""

import copy
from unittest import mock

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import errors, models
from jaxssl.methods import IJEPA
from jaxssl.models import positions
from jaxssl.ops.schedules import cosine
from jaxssl.train.optim import make_optimizer
from jaxssl.train.state import TrainState
from jaxssl.train.step import train_step
from jaxssl.weights import timm as timm_weights
from tests.models import timm_reference

ROWS, SIZE, DIM, GRID = 3, 32, 32, (8, 8)
STEPS, MOMENTUM, DECAY = 10, 0.8, 0.05
SHAPE = {'depth': 2, 'num_heads': 4}


def make_method(**changes):
  encoder = models.make_encoder(
    'vit_ti4',
    dim=DIM,
    position='sincos_mae',
    class_token=False,
    pool='avg',
    fc_norm=False,
    **SHAPE,
  )
  return IJEPA(
    **{
      'encoder': encoder,
      'predictor_dim': 16,
      'predictor_depth': 2,
      'predictor_heads': 2,
      'momentum': MOMENTUM,
      **changes,
    }
  )


@pytest.fixture(scope='module')
def started():
  method = make_method()
  images = timm_reference.images(SIZE, ROWS)
  params, _ = jax.jit(method.init)(jax.random.key(0), {'views': (images,)})
  # Scales and biases start at one and zero, which would hide a swap.
  params = jax.tree.map(
    lambda x: x + 0.05 * jax.random.normal(jax.random.key(x.size), x.shape),
    params,
  )
  return method, params, {'slow': {'encoder': params['encoder']}}


@pytest.fixture(scope='module')
def masks(started):
  """Masks of each step; some rows have fewer patches than others."""
  keys = jax.random.split(jax.random.key(3), ROWS)
  draw = jax.jit(lambda step: started[0].masks(GRID, keys, step))
  drawn = [draw(step) for step in range(STEPS)]
  assert any(not m.present.all() for m in drawn)
  assert any(not m.counted.all() for m in drawn)
  return drawn


def _torch_model(params):
  """Encoder, predictor and slow encoder with the weights of ours."""
  import timm
  import torch
  from torch import nn

  def load(module, ours):
    tensors = {
      name: torch.from_numpy(np.array(value))
      for name, value in timm_weights.to_timm({'params': ours}).items()
    }
    missing, unexpected = module.load_state_dict(tensors, strict=False)
    assert (missing, unexpected) == ([], [])

  encoder = timm.create_model(
    'vit_tiny_patch16_224',
    img_size=SIZE,
    patch_size=4,
    embed_dim=DIM,
    class_token=False,
    global_pool='avg',
    fc_norm=False,
    num_classes=0,
    pos_embed='none',
    **SHAPE,
  )
  width = params['predictor']['embed']['kernel'].shape[-1]
  predictor = nn.Module()
  predictor.embed = nn.Linear(DIM, width)
  predictor.blocks = nn.Sequential(
    *(
      timm.models.vision_transformer.Block(width, 2, qkv_bias=True)
      for _ in range(2)
    )
  )
  predictor.norm = nn.LayerNorm(width, eps=1e-6)
  predictor.proj = nn.Linear(width, DIM)
  for block in predictor.blocks:
    block.norm1.eps = block.norm2.eps = 1e-6
  load(encoder, params['encoder'])
  load(
    predictor,
    {k: v for k, v in params['predictor'].items() if k != 'mask_token'},
  )
  predictor.mask_token = nn.Parameter(
    torch.from_numpy(np.array(params['predictor']['mask_token']))
  )
  model = nn.Module()
  model.encoder, model.predictor = encoder, predictor
  model.slow = copy.deepcopy(encoder).requires_grad_(False)
  return model


def _torch_loss(model, images, mask):
  """The loss of section 3 of the paper, without padding: one row at a time."""
  import torch
  from torch.nn import functional

  def table(width):
    return torch.from_numpy(positions.sincos_mae(*GRID, width))

  def encode(encoder, image, places):
    x = encoder.patch_embed(timm_reference.to_torch(image[None]))
    x = x + table(DIM)
    return encoder.norm(encoder.blocks(x[:, places]))

  losses, predictor = [], model.predictor
  places = table(predictor.mask_token.shape[-1])
  for row, image in enumerate(images):
    context = np.asarray(mask.context[row])[np.asarray(mask.present[row])]
    target = encode(model.slow, image, np.arange(64)).detach()
    target = functional.layer_norm(target, (DIM,))
    seen = encode(model.encoder, image, context)
    for block in np.asarray(mask.targets[row]):
      asked = block[np.asarray(mask.counted)]
      x = predictor.embed(seen) + places[context]
      queries = predictor.mask_token + places[asked]
      x = predictor.blocks(torch.cat([x, queries], dim=1))
      predicted = predictor.proj(predictor.norm(x[:, len(context) :]))
      losses.append(functional.smooth_l1_loss(predicted, target[:, asked]))
  return torch.stack(losses).mean()


def _named(params):
  """Our parameters under the names that the model in PyTorch has."""
  named = {
    f'encoder.{k}': v
    for k, v in timm_weights.to_timm({'params': params['encoder']}).items()
  }
  predictor = dict(params['predictor'])
  named['predictor.mask_token'] = np.asarray(predictor.pop('mask_token'))
  for k, v in timm_weights.to_timm({'params': predictor}).items():
    named[f'predictor.{k}'] = v
  return {
    # Keys have a gradient of zero, of which Adam sees the rounding.
    name: np.delete(v, np.s_[len(v) // 3 : -(len(v) // 3)])
    if name.endswith('qkv.bias')
    else v
    for name, v in named.items()
  }


def _values(parameters):
  return {
    name: np.delete(v, np.s_[len(v) // 3 : -(len(v) // 3)])
    if name.endswith('qkv.bias')
    else v
    for name, tensor in parameters
    if (v := tensor.detach().numpy()) is not None
  }


@pytest.mark.reference
def test_loss_gradient_and_ten_steps_equal_pytorch(started, masks):
  import torch

  method, params, state = started
  model = _torch_model(params)
  trained = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
  optimizer = torch.optim.AdamW(
    [
      {'params': [p for n, p in trained if p.ndim > 1], 'weight_decay': DECAY},
      {'params': [p for n, p in trained if p.ndim <= 1], 'weight_decay': 0.0},
    ],
    lr=1.0,
  )
  rate = cosine(start=1e-3, num_steps=STEPS, warmup_steps=2)
  tx = make_optimizer(
    name='adamw', learning_rate=rate, weight_decay=DECAY, exclude='ndim<=1'
  )
  zero = jnp.zeros((), jnp.int32)
  train = TrainState(zero, params, state, tx.init(params), jax.random.key(0))

  @jax.jit
  def step(train, images, mask):
    with mock_masks(mask):
      return train_step(
        train,
        {'image': images},
        method=method,
        augment=lambda key, batch, axis_name: {'views': (batch['image'],)},
        tx=tx,
      )

  for i, mask in enumerate(masks):
    images = timm_reference.images(SIZE, ROWS) + np.float32(0.1 * i)
    for group in optimizer.param_groups:
      group['lr'] = float(rate(i))
    optimizer.zero_grad()
    loss = _torch_loss(model, images, mask)
    loss.backward()
    if not i:
      theirs = _values((n, p.grad) for n, p in trained)
    optimizer.step()
    with torch.no_grad():
      for slow, fast in zip(
        model.slow.parameters(), model.encoder.parameters(), strict=True
      ):
        slow.mul_(MOMENTUM).add_((1 - MOMENTUM) * fast)
    if not i:
      check_gradient(method, train, images, mask, theirs)
    train, metrics = step(train, images, mask)
    assert float(metrics['loss']) == pytest.approx(loss.item(), rel=1e-4), i
  # Adam's steps are of the size of the rate (1e-3) however small a gradient
  # is, so rounding of small gradients shows.
  close = {'rtol': 1e-3, 'atol': 2e-5}
  chex.assert_trees_all_close(_named(train.params), _values(trained), **close)
  slow = timm_weights.to_timm({'params': train.method_state['slow']['encoder']})
  wanted = {n: p.numpy() for n, p in model.slow.named_parameters()}
  chex.assert_trees_all_close(slow, wanted, **close)


def mock_masks(mask):
  return mock.patch.object(IJEPA, 'masks', return_value=mask)


def check_gradient(method, train, images, mask, wanted):
  @jax.jit
  @jax.grad
  def gradient(params):
    with mock_masks(mask):
      loss, _ = method.loss(
        params,
        train.method_state,
        {'views': (images,)},
        key=jax.random.key(0),
        step=train.step,
      )
    return loss

  ours = _named(gradient(train.params))
  for name, value in wanted.items():
    error = np.linalg.norm(ours[name] - value) / np.linalg.norm(value)
    # Sums run in another order.
    assert error < 1e-4, name


def test_nothing_outside_of_the_context_is_seen(started, masks):
  method, params, _ = started
  images = timm_reference.images(SIZE, ROWS)
  mask = masks[0]
  seen = np.zeros((ROWS, 64), bool)
  for row in range(ROWS):
    seen[row, np.asarray(mask.context[row])[np.asarray(mask.present[row])]] = 1
  pixels = seen.reshape(ROWS, *GRID).repeat(4, 1).repeat(4, 2)[..., None]
  predict = jax.jit(method.predict)
  chex.assert_trees_all_equal(
    predict(params, np.where(pixels, images, 9.0), mask),
    predict(params, images, mask),
  )


def test_spread_of_targets_is_zero_where_all_tokens_are_alike(started):
  method, params, state = started
  run = jax.jit(method.loss)

  def spread(images):
    _, aux = run(
      params,
      state,
      {'views': (images,)},
      key=jax.random.key(0),
      step=jnp.zeros((), jnp.int32),
    )
    return float(aux.metrics['target_spread'])

  images = timm_reference.images(SIZE, ROWS)
  tokens = method.target(state, images).reshape(-1, DIM)
  assert spread(images) == pytest.approx(
    float(jnp.sqrt(tokens.var(axis=0).mean())), rel=1e-4
  )
  # Positions are left, but no pictures.
  assert 0 < spread(np.zeros_like(images)) < spread(images) <= 1


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'encoder': models.make_encoder('resnet18')}, 'needs a vision transf'),
    ({'encoder': models.make_encoder('vit_ti4')}, 'of patches alone'),
    ({'max_context': 0.0}, r'IJEPA max_context is 0\.0; it must'),
    ({'predictor_heads': 3}, 'not divisible'),
  ],
)
def test_wrong_fields_are_user_errors(changes, message):
  with pytest.raises(errors.UserError, match=message):
    make_method(**changes)


def test_a_grid_too_small_for_a_target_is_a_user_error():
  with pytest.raises(errors.UserError, match='more than 2x2 patches'):
    make_method().masks((2, 2), jax.random.split(jax.random.key(0), 1), 0)
