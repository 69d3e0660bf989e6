from unittest import mock

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import errors, models
from jaxssl.methods import MAE
from jaxssl.ops import masking, patches
from jaxssl.ops.schedules import cosine
from jaxssl.train.optim import make_optimizer
from jaxssl.train.state import TrainState
from jaxssl.train.step import train_step
from jaxssl.weights import huggingface
from tests.models import timm_reference, transformers_reference

ROWS = 3
SIZE, NUM_PATCHES = transformers_reference.SIZE, 16


def make_method(**changes):
  encoder = models.make_encoder(
    'vit_ti8', dim=32, depth=2, num_heads=4, position='sincos_mae'
  )
  return MAE(
    **{
      'encoder': encoder,
      'decoder_dim': 16,
      'decoder_depth': 2,
      'decoder_heads': 2,
      **changes,
    }
  )


def init(method, size=SIZE, rows=ROWS):
  batch = {'views': (jnp.zeros((rows, size, size, 3)),)}
  return jax.jit(method.init)(jax.random.key(0), batch)


def make_noise(seed=1):
  return np.random.default_rng(seed).random((ROWS, NUM_PATCHES), np.float32)


def loss_with(method, params, images, noise):
  """The loss with the masks of given noise."""
  with mock.patch.object(masking, 'row_noise', return_value=noise):
    loss, _ = method.loss(
      params,
      {},
      {'views': (images,)},
      key=jax.random.key(0),
      step=jnp.zeros((), jnp.int32),
    )
  return loss


def from_torch(tensors, params):
  """Parameters of `MAE` from a ViTMAEForPreTraining's tensors."""
  encoder = huggingface.from_huggingface(
    tensors, {'params': params['encoder']}, position='sincos_mae'
  )
  decoder = huggingface.mae_decoder_from_huggingface(
    tensors, {'params': params['decoder']}
  )
  params = {'encoder': encoder['params'], 'decoder': decoder['params']}
  return jax.tree.map(jnp.asarray, params)


@pytest.fixture(scope='module')
def method_and_params():
  method = make_method()
  params, _ = init(method)
  return method, params


@pytest.mark.reference
@pytest.mark.parametrize('normalize', [True, False])
def test_loss_and_gradient_equal_transformers(normalize):
  import torch

  model = transformers_reference.vit_mae(norm_pix_loss=normalize)
  method = make_method(normalize_pixels=normalize)
  images, noise = timm_reference.images(SIZE, ROWS), make_noise()
  theirs = model(timm_reference.to_torch(images), noise=torch.from_numpy(noise))
  theirs.loss.backward()
  shapes, _ = jax.eval_shape(
    method.init, jax.random.key(0), {'views': (images,)}
  )
  params = from_torch(transformers_reference.tensors(model), shapes)

  @jax.jit
  def run(params):
    prediction, hidden = method.reconstruct(params, images, noise)
    return prediction, hidden, loss_with(method, params, images, noise)

  prediction, hidden, loss = run(params)
  np.testing.assert_array_equal(hidden, theirs.mask.numpy().astype(bool))
  error = timm_reference.relative_error(prediction, theirs.logits.detach())
  assert error < 1e-5
  assert float(loss) == pytest.approx(theirs.loss.item(), rel=1e-5)
  ours = jax.jit(jax.grad(lambda p: loss_with(method, p, images, noise)))(
    params
  )
  wanted = from_torch(transformers_reference.gradients(model), shapes)
  # Sums run in another order; key biases have no gradient but rounding.
  chex.assert_trees_all_close(ours, wanted, rtol=1e-3, atol=1e-6)


def _torch_adamw(model, learning_rate):
  """AdamW as the authors set it up: no decay for biases and scales."""
  import torch

  trained = [p for p in model.parameters() if p.requires_grad]
  groups = [
    {'params': [p for p in trained if p.ndim > 1], 'weight_decay': 0.05},
    {'params': [p for p in trained if p.ndim <= 1], 'weight_decay': 0.0},
  ]
  return torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.95))


@pytest.mark.reference
@pytest.mark.parametrize('freeze_steps', [0, 3])
def test_ten_steps_equal_a_pytorch_loop(freeze_steps):
  import torch

  model, method = transformers_reference.vit_mae(), make_method()
  noise = make_noise()
  batches = [timm_reference.images(SIZE, ROWS) + 0.1 * i for i in range(10)]
  shapes, _ = jax.eval_shape(
    method.init, jax.random.key(0), {'views': (batches[0],)}
  )
  params = from_torch(transformers_reference.tensors(model), shapes)
  rate = cosine(start=1e-3, num_steps=10, warmup_steps=2)
  optimizer = _torch_adamw(model, 1.0)
  tx = make_optimizer(
    name='adamw',
    learning_rate=rate,
    weight_decay=0.05,
    exclude='ndim<=1',
    b2=0.95,
    freeze_steps=freeze_steps,
  )
  zero = jnp.zeros((), jnp.int32)
  state = TrainState(zero, params, {}, tx.init(params), jax.random.key(0))

  @jax.jit
  def step(state, images):
    with mock.patch.object(masking, 'row_noise', return_value=noise):
      return train_step(
        state,
        {'image': images},
        method=method,
        augment=lambda key, batch, axis_name: {'views': (batch['image'],)},
        tx=tx,
        freeze_steps=freeze_steps,
      )

  for i, images in enumerate(batches):
    for group in optimizer.param_groups:
      group['lr'] = float(rate(i))
    optimizer.zero_grad()
    loss = model(
      timm_reference.to_torch(images), noise=torch.from_numpy(noise)
    ).loss
    loss.backward()
    if i < freeze_steps:
      for parameter in model.vit.parameters():
        parameter.grad = None  # what PyTorch's optimizers pass over
    optimizer.step()
    state, metrics = step(state, images)
    assert float(metrics['loss']) == pytest.approx(loss.item(), rel=1e-4), i
  wanted = from_torch(transformers_reference.tensors(model), shapes)
  trained = _without_key_biases(state.params)
  # Adam's steps are of the size of the rate (1e-3) however small a gradient
  # is, so rounding of small gradients shows.
  chex.assert_trees_all_close(
    trained, _without_key_biases(wanted), rtol=1e-3, atol=2e-5
  )


def _without_key_biases(params):
  """Key biases have a gradient of zero, of which Adam sees the rounding."""

  def cut(path, leaf):
    names = [entry.key for entry in path]
    is_qkv_bias = names[-2:] == ['qkv', 'bias']
    third = len(leaf) // 3
    return np.delete(leaf, np.s_[third:-third]) if is_qkv_bias else leaf

  return jax.tree_util.tree_map_with_path(cut, params)


def test_initial_loss_is_what_theory_says():
  method = make_method(decoder_dim=64, decoder_heads=4)
  params, _ = init(method)
  images = timm_reference.images(SIZE, ROWS)
  loss = jax.jit(lambda p: loss_with(method, p, images, make_noise()))(params)
  values = 8 * 8 * 3
  expected = 1 - 1 / values + 2 * 64 / (64 + values)
  # One draw of the weights: the variance of 24 predicted patches.
  assert float(loss) == pytest.approx(expected, rel=0.1)


def test_prediction_does_not_see_hidden_patches(method_and_params):
  method, params = method_and_params
  images, noise = timm_reference.images(SIZE, ROWS), make_noise()
  run = jax.jit(method.reconstruct)
  prediction, hidden = run(params, images, noise)
  cut = np.where(hidden[:, :, None], 9.0, patches.patchify(images, 8))
  changed = patches.unpatchify(cut, 8, (4, 4))
  chex.assert_trees_all_equal(run(params, changed, noise)[0], prediction)
  assert hidden.sum(1).tolist() == [12] * ROWS


def test_visible_patches_do_not_count(method_and_params):
  method, params = method_and_params
  images, noise = timm_reference.images(SIZE, ROWS), make_noise()
  prediction, hidden = method.reconstruct(params, images, noise)
  error = np.square(prediction - method.target(images)).mean(-1)
  expected = error[np.asarray(hidden)].mean()
  loss = loss_with(method, params, images, noise)
  assert float(loss) == pytest.approx(float(expected), rel=1e-5)


def test_encoder_costs_what_it_sees():
  encoder = models.make_encoder('vit_s16', depth=4, position='sincos_mae')
  images = jax.ShapeDtypeStruct((2, 224, 224, 3), jnp.float32)
  shapes = jax.eval_shape(encoder.init, jax.random.key(0), images)

  def flops(num_visible):
    keep = jax.ShapeDtypeStruct((2, num_visible), jnp.int32)
    lowered = jax.jit(
      lambda v, x, keep: encoder.apply(v, x, keep=keep)[0]
    ).lower(shapes, images, keep)
    return lowered.cost_analysis()['flops']

  # Projecting the patches costs the same; attention falls with the square.
  assert flops(49) / flops(196) < 0.3


def test_target_is_normalised_by_each_patch():
  target = make_method().target(5 + 3 * timm_reference.images(SIZE, ROWS))
  np.testing.assert_allclose(target.mean(-1), 0, atol=1e-5)
  np.testing.assert_allclose(target.var(-1, ddof=1), 1, atol=1e-4)


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'encoder': models.make_encoder('resnet18')}, 'needs a vision transf'),
    (
      {'encoder': models.make_encoder('vit_ti8', pool='avg')},
      'must pass the final norm',
    ),
    ({'mask_ratio': 1.0}, r'MAE mask_ratio is 1\.0; it must'),
    ({'decoder_heads': 3}, 'not divisible'),
  ],
)
def test_wrong_fields_are_user_errors(changes, message):
  with pytest.raises(errors.UserError, match=message):
    make_method(**changes)


def test_nothing_visible_is_a_user_error(method_and_params):
  _, params = method_and_params
  with pytest.raises(errors.UserError, match='none of the 16 patches'):
    make_method(mask_ratio=0.95).reconstruct(
      params, timm_reference.images(SIZE, ROWS), make_noise()
    )
