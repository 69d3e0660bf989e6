import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxssl import models
from jaxssl.errors import UserError
from jaxssl.methods import METHODS
from jaxssl.train.state import init_state
from jaxssl.train.treatments import Treatment, parameter_name, treatments
from tests import tiny_methods


def _params():
  random = np.random.default_rng(0)
  return {
    'dense': {
      'kernel': random.normal(size=(4, 3)).astype(np.float32),
      'bias': random.normal(size=3).astype(np.float32),
    },
    'last': {'kernel': random.normal(size=(3, 2)).astype(np.float32)},
  }


class TestRules:
  def _treatments(self, rules, **kwargs):
    return treatments(_params(), rules=rules, **kwargs)

  def test_later_rules_win_key_by_key(self):
    result = self._treatments(
      [
        {'match': 'kernel', 'learning_rate': 0.1, 'weight_decay': 0.5},
        {'match': 'last', 'learning_rate': 3.0},
      ]
    )
    assert result['dense']['kernel'] == Treatment(0.1, 0.5)
    assert result['last']['kernel'] == Treatment(3.0, 0.5)
    assert result['dense']['bias'] == Treatment()

  def test_rules_win_over_the_exclusion(self):
    rules = [{'match': 'bias', 'weight_decay': 1.0}]
    result = self._treatments(rules, exclude='ndim<=1')
    assert result['dense']['bias'] == Treatment(trust=False)

  def test_exclusion_takes_out_vectors(self):
    result = self._treatments([], exclude='ndim<=1')
    assert result['dense']['bias'] == Treatment(1.0, 0.0, trust=False)
    assert result['dense']['kernel'] == Treatment()

  def test_no_match_names_the_rule_and_a_parameter(self):
    with pytest.raises(UserError, match=r"'\^head' matches no parameter.*'den"):
      self._treatments([{'match': '^head'}])


class TestLayerDecay:
  def test_factors_of_a_vision_transformer(self):
    encoder = models.make_encoder(
      'vit_ti4', dim=8, depth=4, num_heads=2, num_registers=1
    )
    shapes = jax.eval_shape(
      encoder.init, jax.random.key(0), jnp.zeros((1, 16, 16, 3))
    )['params']
    params = {'encoder': shapes, 'head': {'kernel': jnp.zeros((8, 2))}}
    leaves = jax.tree_util.tree_flatten_with_path(
      treatments(params, layer_decay=0.75)
    )[0]
    layers = dict.fromkeys(
      ('patch_embed', 'cls_token', 'reg_token', 'pos_embed'), 0
    )
    layers |= {f'blocks_{j}': j + 1 for j in range(4)} | {'norm': 5}
    for path, treatment in leaves:
      name = parameter_name(path)
      layer = layers[name.split('/')[1]] if 'encoder' in name else 5
      # lr * d^(L + 1 - i)
      assert treatment.learning_rate == 0.75 ** (5 - layer), name
    assert {parameter_name(p).split('/')[1] for p, _ in leaves} == {
      *layers,
      'kernel',
    }

  def test_factors_of_a_convnext_are_of_its_stages(self):
    encoder = models.make_encoder('convnext_t', blocks=(1, 1, 2, 1), width=8)
    shapes = jax.eval_shape(
      encoder.init, jax.random.key(0), jnp.zeros((1, 32, 32, 3))
    )['params']
    leaves = jax.tree_util.tree_flatten_with_path(
      treatments({'encoder': shapes}, layer_decay=0.75)
    )[0]
    layers = {'stem_0': 0, 'stem_1': 0, 'head': 5}
    layers |= {f'stages_{i}': i + 1 for i in range(4)}
    for path, treatment in leaves:
      name = parameter_name(path)
      layer = layers[name.split('/')[1]]
      assert treatment.learning_rate == 0.75 ** (5 - layer), name
    assert {parameter_name(p).split('/')[1] for p, _ in leaves} == {*layers}


@pytest.mark.parametrize('name', METHODS)
def test_no_bias_and_no_scale_of_a_norm_decays(name):
  method = tiny_methods.make(name)

  def init(key, batch):
    return init_state(
      key,
      batch,
      method=method,
      augment=tiny_methods.augment(name),
      tx=optax.sgd(0.1),
    )

  batch = tiny_methods.noise_batch()
  params = jax.eval_shape(init, jax.random.key(0), batch).params
  found = treatments(params, exclude='ndim<=1')
  by_name = {
    parameter_name(path): treatment
    for path, treatment in jax.tree_util.tree_flatten_with_path(
      found, is_leaf=lambda x: isinstance(x, Treatment)
    )[0]
  }
  small = [n for n in by_name if n.split('/')[-1] in ('bias', 'scale')]
  assert small
  excluded = Treatment(weight_decay=0.0, trust=False)
  assert all(by_name[n] == excluded for n in small)
  kernels = [n for n in by_name if n.endswith('/kernel')]
  assert kernels
  assert all(by_name[n] == Treatment() for n in kernels)
