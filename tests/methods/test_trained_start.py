import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import models
from jaxssl.errors import UserError
from jaxssl.methods import SimCLR, trained_start


def _variables(size, seed=0, **options):
  encoder = models.make_encoder(
    'vit_ti4', dim=16, depth=1, num_heads=2, **options
  )
  images = jnp.zeros((1, size, size, 3))
  return encoder, encoder.init(jax.random.key(seed), images)


class TestFit:
  @pytest.mark.parametrize('registers', [0, 2])
  def test_learned_positions_are_those_that_the_encoder_would_see(
    self, registers
  ):
    # The encoder interpolates a table of another grid itself; done once before
    # the run it must give the same features.
    encoder, large = _variables(24, num_registers=registers)
    _, small = _variables(16, seed=1, num_registers=registers)
    fitted = trained_start.fit(small, large)
    table = fitted['params']['pos_embed']
    assert table.shape == small['params']['pos_embed'].shape
    images = jax.random.normal(jax.random.key(2), (3, 16, 16, 3))
    features, _ = encoder.apply(fitted, images)
    np.testing.assert_array_equal(features, encoder.apply(large, images)[0])

  def test_relative_positions_too(self):
    encoder, large = _variables(24, position='relative')
    _, small = _variables(16, seed=1, position='relative')
    large = jax.tree.map(
      lambda x: x + jax.random.normal(jax.random.key(3), x.shape), large
    )
    fitted = trained_start.fit(small, large)
    images = jax.random.normal(jax.random.key(2), (3, 16, 16, 3))
    features, _ = encoder.apply(fitted, images)
    np.testing.assert_array_equal(features, encoder.apply(large, images)[0])

  def test_a_table_of_the_same_grid_stays_to_the_bit(self):
    _, one = _variables(16)
    _, other = _variables(16, seed=1)
    fitted = trained_start.fit(other, one)
    jax.tree.map(np.testing.assert_array_equal, fitted, one)

  def test_a_mask_token_comes_and_goes(self):
    _, plain = _variables(16)
    _, masked = _variables(16, seed=1, use_mask_token=True)
    fitted = trained_start.fit(masked, plain)['params']
    np.testing.assert_array_equal(
      fitted['mask_token'], masked['params']['mask_token']
    )
    assert 'mask_token' not in trained_start.fit(plain, masked)['params']

  @pytest.mark.parametrize(
    ('options', 'message'),
    [
      ({'num_registers': 1}, r'pos_embed: \(1, 18, 16\) for \(1, 17, 16\)'),
      ({'layer_scale': 0.1}, 'ls1.gamma: .* for nothing'),
      ({'patch_bias': False}, 'patch_embed.*bias: nothing for'),
    ],
  )
  def test_another_architecture_is_told_in_one_line(self, options, message):
    _, own = _variables(16)
    _, other = _variables(16, **options)
    with pytest.raises(UserError, match=message) as told:
      trained_start.fit(own, other)
    assert '\n' not in str(told.value)


NEW = {'params': {'w': np.ones(3)}, 'batch_stats': {'mean': np.full(2, 5.0)}}


class TestReplaceEncoder:
  def test_every_copy_is_replaced(self):
    old = {'w': np.zeros(3)}
    tree = {
      'net': {'encoder': old, 'head': old},
      'slow': {'params': {'encoder': old}},
      'stats': {'batch_stats': {'encoder': {'mean': np.zeros(2)}}},
    }
    new = trained_start.replace_encoder(tree, NEW)
    assert new['net']['encoder']['w'].sum() == 3
    assert new['net']['head']['w'].sum() == 0
    assert new['slow']['params']['encoder']['w'].sum() == 3
    assert new['stats']['batch_stats']['encoder']['mean'].sum() == 10

  def test_statistics_alone_and_whole_variables_are_found(self):
    tree = {
      'stats': {'batch_stats': {'mean': np.zeros(2)}},
      'encoder': jax.tree.map(np.zeros_like, NEW),
    }
    new = trained_start.replace_encoder(tree, NEW)
    assert new['stats']['batch_stats']['mean'].sum() == 10
    jax.tree.map(np.testing.assert_array_equal, new['encoder'], NEW)

  def test_networks_of_another_name_or_shape_stay(self):
    tree = {
      'teacher': {'params': {'w': np.zeros(3)}},
      'text': {'encoder': {'w': np.zeros(4)}},
    }
    new = trained_start.replace_encoder(tree, NEW)
    jax.tree.map(np.testing.assert_array_equal, new, tree)


def test_a_tower_that_a_method_lacks_is_refused():
  method = SimCLR(encoder=models.make_encoder('resnet18'))
  with pytest.raises(UserError, match='SimCLR does not start from text'):
    trained_start.with_towers(method, {}, {}, {'text': {}})
