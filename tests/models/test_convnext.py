import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import errors, models
from tests.models import timm_reference
from tests.weights import released

# Name here -> timm's.
SIZES = {
  **{
    f'convnext_{name[0]}': f'convnext_{name}'
    for name in ('tiny', 'small', 'base', 'large')
  },
  **{
    f'convnextv2_{name[0]}': f'convnextv2_{name}'
    for name in ('tiny', 'small', 'base', 'large')
  },
  **{
    f'convnextv2_{name}': f'convnextv2_{name}'
    for name in ('atto', 'femto', 'pico', 'nano')
  },
}
TINY = {'blocks': (1, 1, 2, 1), 'width': 8}


def _shapes(encoder, size=224):
  x = jnp.zeros((1, size, size, 3))
  return jax.eval_shape(encoder.init, jax.random.key(0), x)['params']


@pytest.mark.reference
@pytest.mark.parametrize('name', SIZES)
def test_every_size_has_as_many_parameters_as_timms(name):
  import timm
  import torch

  with torch.device('meta'):
    model = timm.create_model(SIZES[name], num_classes=0)
  theirs = sum(p.numel() for p in model.parameters())
  shapes = _shapes(models.make_encoder(name))
  assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == theirs


def _pair(name, blocks):
  """timm's model and ours, of full width, of the same random weights."""
  import timm

  model = released.randomize(
    timm.create_model(SIZES[name], num_classes=0, depths=blocks)
  )
  encoder = models.make_encoder(name, blocks=blocks)
  return model, encoder, timm_reference.load(encoder, model, 64)


@pytest.mark.reference
@pytest.mark.parametrize(
  ('name', 'blocks'),
  [
    ('convnext_t', (1, 1, 2, 1)),
    ('convnextv2_t', (1, 1, 2, 1)),
    ('convnextv2_atto', (2, 2, 6, 2)),
    pytest.param('convnext_t', (3, 3, 9, 3), marks=pytest.mark.slow),
    pytest.param('convnextv2_t', (3, 3, 9, 3), marks=pytest.mark.slow),
    pytest.param('convnext_l', (1, 1, 2, 1), marks=pytest.mark.slow),
  ],
)
def test_features_equal_timm(name, blocks):
  model, encoder, variables = _pair(name, blocks)
  # float32 sums in another order. Patches do not divide the maps of 100 pixels.
  for size in (96, 100):
    error = timm_reference.features_error(encoder, variables, model, size)
    assert error < 1e-4, size


@pytest.mark.reference
@pytest.mark.parametrize('name', ['convnext_t', 'convnextv2_t'])
def test_gradients_equal_timm(name):
  model, encoder, variables = _pair(name, (1, 1, 1, 1))
  _, found = timm_reference.gradient_errors(encoder, variables, model, 64)
  assert max(found.values()) < 1e-3, max(found, key=found.get)


def test_intermediates_have_their_shapes():
  encoder = models.make_encoder('convnext_t', **TINY)
  features, out = jax.eval_shape(
    lambda x: encoder.init_with_output(jax.random.key(0), x)[0],
    jnp.zeros((2, 64, 96, 3)),
  )
  chex.assert_shape(features, (2, 64))
  assert {k: v.shape for k, v in out.items()} == {
    'stem': (2, 16, 24, 8),
    'stage1': (2, 16, 24, 8),
    'stage2': (2, 8, 12, 16),
    'stage3': (2, 4, 6, 32),
    'stage4': (2, 2, 3, 64),
    'pre_logits': (2, 64),
  }


def test_a_small_stem_keeps_the_resolution():
  encoder = models.make_encoder('convnext_t', stem_size=1, **TINY)
  x = jnp.zeros((1, 32, 32, 3))
  variables = jax.eval_shape(encoder.init, jax.random.key(0), x)
  _, out = jax.eval_shape(encoder.apply, variables, x)
  assert out['stem'].shape == (1, 32, 32, 8)
  assert out['stage4'].shape == (1, 4, 4, 64)


@pytest.mark.parametrize('name', ['convnext_t', 'convnextv2_t'])
def test_bfloat16_keeps_float32_variables_and_features(name):
  exact = models.make_encoder(name, **TINY)
  encoder = models.make_encoder(name, dtype='bfloat16', **TINY)
  x = jnp.asarray(timm_reference.images(32))
  variables = timm_reference.random_variables(exact, x)
  shapes = jax.eval_shape(encoder.init, jax.random.key(0), x)
  assert {leaf.dtype for leaf in jax.tree.leaves(shapes)} == {
    jnp.dtype('float32')
  }
  features, out = jax.jit(encoder.apply)(variables, x)
  assert features.dtype == jnp.float32
  assert out['stage4'].dtype == jnp.bfloat16
  expected, _ = jax.jit(exact.apply)(variables, x)
  # bfloat16 has 8 bits: 0.4 % a rounding, some of which add up.
  assert timm_reference.relative_error(features, expected) < 0.05


def test_initial_values_are_the_authors():
  encoder = models.make_encoder('convnext_t', blocks=(1, 1, 1, 1))
  x = jnp.zeros((1, 32, 32, 3))
  params = jax.jit(encoder.init)(jax.random.key(0), x)['params']
  for path, leaf in jax.tree_util.tree_leaves_with_path(params):
    name = path[-1].key
    if name == 'kernel':
      # 4608 numbers at least: the deviation's standard error is 1 %.
      assert np.std(leaf) == pytest.approx(0.02, rel=0.05), path
    else:
      value = {'bias': 0.0, 'scale': 1.0, 'gamma': 1e-6}[name]
      np.testing.assert_array_equal(leaf, np.float32(value), str(path))


class TestDropPath:
  def _encoder(self, rate):
    return models.make_encoder(
      'convnext_t', drop_path=rate, layer_scale=1.0, **TINY
    )

  def test_a_row_depends_on_its_key_alone(self):
    encoder = self._encoder(0.5)
    x = jnp.asarray(timm_reference.images(32, batch=4))
    variables = timm_reference.random_variables(encoder, x)
    keys = jax.random.split(jax.random.key(1), 4)

    @jax.jit
    def features(x, keys):
      return encoder.apply(variables, x, True, None, keys)[0]

    whole = features(x, keys)
    turned = features(x[::-1], keys[::-1])[::-1]
    np.testing.assert_allclose(whole, turned, rtol=1e-4, atol=1e-5)
    still = jax.jit(encoder.apply)(variables, x)[0]
    assert np.abs(whole - still).max() > 0.01

  def test_rates_are_timms(self):
    from_first = self._encoder(0.4)._rates()
    assert [len(stage) for stage in from_first] == [1, 1, 2, 1]
    flat = [rate for stage in from_first for rate in stage]
    np.testing.assert_allclose(flat, [0, 0.1, 0.2, 0.3, 0.4])

  def test_needs_keys_in_training(self):
    encoder = self._encoder(0.5)
    x = jnp.zeros((1, 32, 32, 3))
    variables = jax.eval_shape(encoder.init, jax.random.key(0), x)
    with pytest.raises(errors.UserError, match='needs `keys`'):
      jax.eval_shape(lambda v: encoder.apply(v, x, True), variables)


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    ({'blocks': (3, 3, 9)}, 'blocks of 4 stages'),
    ({'blocks': (3, 0, 9, 3)}, 'each at least 1'),
    ({'width': 0}, 'width is 0'),
    ({'stem_size': 0}, 'stem_size is 0'),
  ],
)
def test_wrong_attributes_are_user_errors(options, message):
  with pytest.raises(errors.UserError, match=message):
    models.ConvNeXt(**options)


def test_images_that_are_too_small_are_user_errors():
  encoder = models.make_encoder('convnext_t')
  with pytest.raises(errors.UserError, match='needs 32 pixels'):
    _shapes(encoder, 28)
  _shapes(models.make_encoder('convnext_t', stem_size=2), 28)
