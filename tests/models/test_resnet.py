import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import errors, models
from jaxssl.models import conv, resnet
from jaxssl.weights import timm as timm_weights
from tests.models import timm_reference


def _setup(encoder, size=32):
  x = jnp.asarray(timm_reference.images(size))
  return x, timm_reference.random_variables(encoder, x)


@pytest.mark.reference
@pytest.mark.parametrize('depth', [18, 50])
def test_features_equal_timm(depth):
  model = timm_reference.make(f'resnet{depth}')
  encoder = models.make_encoder(f'resnet{depth}')
  variables = timm_reference.load(encoder, model, 64)
  # float32 sums in another order, through up to 53 convolutions.
  for size in (224, 160):
    error = timm_reference.features_error(encoder, variables, model, size)
    assert error < 1e-4, size


@pytest.mark.reference
@pytest.mark.parametrize('depth', [18, 50])
def test_gradients_equal_timm(depth):
  model = timm_reference.make(f'resnet{depth}')
  encoder = models.make_encoder(f'resnet{depth}')
  variables = timm_reference.load(encoder, model, 64)
  _, found = timm_reference.gradient_errors(encoder, variables, model, 64)
  assert max(found.values()) < 1e-3, max(found, key=found.get)


@pytest.mark.reference
def test_batch_statistics_after_three_steps_equal_timm():
  import torch

  rate, x = 0.01, timm_reference.images(64, batch=4)
  model = timm_reference.make('resnet18')
  encoder = models.make_encoder('resnet18')
  variables = timm_reference.load(encoder, model, 64)
  model.train()
  for _ in range(3):
    model.zero_grad()
    model(timm_reference.to_torch(x)).square().mean().backward()
    with torch.no_grad():
      for p in model.parameters():
        p.sub_(rate * p.grad)

  @jax.jit
  def step(variables):
    def loss(params):
      (features, _), new = encoder.apply(
        variables | {'params': params}, x, True, mutable=['batch_stats']
      )
      return jnp.square(features).mean(), new

    grads, new = jax.grad(loss, has_aux=True)(variables['params'])
    move = jax.tree.map(lambda p, g: p - rate * g, variables['params'], grads)
    return {'params': move, **new}

  for _ in range(3):
    variables = step(variables)
  theirs = model.state_dict()
  for name, ours in timm_weights.to_timm(variables).items():
    if 'running' in name:
      error = timm_reference.relative_error(ours, theirs[name].numpy())
      assert error < 1e-4, name


def test_intermediates_have_their_shapes():
  encoder = models.make_encoder('resnet50', width=0.125)
  shapes = jax.eval_shape(
    lambda x: encoder.init_with_output(jax.random.key(0), x)[0],
    jnp.zeros((2, 64, 96, 3)),
  )
  features, out = shapes
  chex.assert_shape(features, (2, 256))
  assert {k: v.shape for k, v in out.items()} == {
    'stem': (2, 16, 24, 8),
    'stage1': (2, 16, 24, 32),
    'stage2': (2, 8, 12, 64),
    'stage3': (2, 4, 6, 128),
    'stage4': (2, 2, 3, 256),
    'pre_logits': (2, 256),
  }


def test_cifar_stem_keeps_the_resolution():
  encoder = models.make_encoder('resnet18', stem='cifar')
  x = jnp.zeros((1, 32, 32, 3))
  variables = jax.eval_shape(encoder.init, jax.random.key(0), x)
  _, out = jax.eval_shape(encoder.apply, variables, x)
  assert out['stem'].shape == (1, 32, 32, 64)
  assert variables['params']['conv1']['kernel'].shape == (3, 3, 3, 64)


def test_width_multiplies_every_channel_count():
  x = jnp.zeros((1, 32, 32, 3))

  def shapes(width):
    encoder = models.make_encoder('resnet50', width=width)
    return jax.eval_shape(encoder.init, jax.random.key(0), x)['params']

  def doubled(path, narrow, wide):
    ins = 1 if path[0].key == 'conv1' or narrow.ndim == 1 else 2
    assert wide.shape[-1] == 2 * narrow.shape[-1]
    if narrow.ndim == 4:
      assert wide.shape[-2] == ins * narrow.shape[-2]

  jax.tree_util.tree_map_with_path(doubled, shapes(1), shapes(2))


def test_zero_init_residual_makes_blocks_identities():
  block = resnet.ResidualBlock('basic', 4, 1, True, 1, jnp.float32)
  x = jnp.abs(jnp.asarray(timm_reference.images(8)))
  x = jnp.concatenate([x, x[..., :1]], axis=-1)
  y, _ = block.init_with_output(jax.random.key(0), x, False, None)
  chex.assert_trees_all_equal(y, x)


def test_convolutions_start_with_kaiming_normal_fan_out():
  layer = conv.Conv(256)
  variables = layer.init(jax.random.key(0), jnp.zeros((1, 4, 4, 256)))
  kernel = np.asarray(variables['params']['kernel'])
  # 590 000 samples: the standard error of the deviation is 0.1 %.
  assert kernel.std() == pytest.approx((2 / (9 * 256)) ** 0.5, rel=0.005)
  assert abs(kernel).max() > 4 * kernel.std()  # not truncated


def _loss_gradients(encoder, variables, x):
  def loss(params):
    features, _ = encoder.apply(
      variables | {'params': params}, x, True, mutable=['batch_stats']
    )[0]
    return jnp.square(features).mean()

  return jax.jit(jax.grad(loss))(variables['params'])


def test_remat_leaves_gradients_unchanged(monkeypatch):
  # One block a stage: compiling the 18 layers twice would take ten seconds.
  monkeypatch.setitem(resnet.DEPTHS, 18, ('basic', (1, 1, 1, 1)))
  options = {'width': 0.125, 'stem': 'cifar'}
  encoder = models.make_encoder('resnet18', **options)
  x, variables = _setup(encoder, 16)
  again = models.make_encoder('resnet18', remat=True, **options)
  chex.assert_trees_all_close(
    _loss_gradients(encoder, variables, x),
    _loss_gradients(again, variables, x),
    rtol=1e-5,
    atol=1e-6,
  )


def test_bfloat16_keeps_float32_variables_and_features():
  encoder = models.make_encoder('resnet18', width=0.125, dtype='bfloat16')
  x, variables = _setup(encoder)
  shapes = jax.eval_shape(encoder.init, jax.random.key(0), x)
  assert {leaf.dtype for leaf in jax.tree.leaves(shapes)} == {
    jnp.dtype('float32')
  }
  features, out = jax.jit(encoder.apply)(variables, x)
  assert features.dtype == jnp.float32
  assert out['stage4'].dtype == jnp.bfloat16
  float32 = models.make_encoder('resnet18', width=0.125)
  exact, _ = jax.jit(float32.apply)(variables, x)
  # bfloat16 has 8 bits: 0.4 % a rounding, some of which add up.
  assert timm_reference.relative_error(features, exact) < 0.05


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    ({'depth': 20}, 'ResNet depth is 20; it must be 18 or 34'),
    ({'stem': 'cifer'}, "did you mean 'cifar'"),
    ({'width': 0.001}, 'no channels'),
  ],
)
def test_wrong_attributes_are_user_errors(options, message):
  with pytest.raises(errors.UserError, match=message):
    models.ResNet(**options)
