"""The size of the images that positions are stored for."""

import jax
import pytest

from jaxssl import models
from jaxssl.config import schema
from jaxssl.weights import position_grid, timm

SIZE = 48


def _found(name, **changes):
  encoder = models.make_encoder(name, **changes)
  shapes = jax.eval_shape(
    encoder.init, jax.random.key(0), jax.numpy.zeros((1, SIZE, SIZE, 3))
  )
  zeros = jax.tree.map(lambda x: jax.numpy.zeros(x.shape), shapes)
  section = schema.defaults('encoder', name) | changes
  return position_grid.image_side(timm.to_timm(zeros), section)


@pytest.mark.parametrize(
  ('name', 'changes', 'side'),
  [
    ('vit_ti8', {}, SIZE),
    ('vit_ti16', {'class_token': False, 'pool': 'avg'}, SIZE),
    ('vit_ti8', {'num_registers': 4}, SIZE),
    ('vit_ti8', {'num_registers': 4, 'prefix_positions': False}, SIZE),
    ('vit_ti8', {'position': 'relative'}, SIZE),
    ('vit_ti8', {'grid': (3, 3)}, 24),
    ('vit_ti8', {'grid': (2, 8)}, None),
    ('vit_ti8', {'position': 'rope'}, None),
    ('vit_ti8', {'position': 'sincos_mae'}, None),
    ('resnet18', {}, None),
  ],
)
def test_side_of_stored_positions(name, changes, side):
  if name.startswith('vit'):
    changes = {'dim': 12, 'depth': 1, 'num_heads': 1, **changes}
  assert _found(name, **changes) == side


def test_side_of_a_resnet_of_clip():
  small = {'blocks': (1, 1, 1, 1), 'width': 8}
  encoder = models.make_encoder('clip_resnet50', **small)
  shapes = jax.eval_shape(
    encoder.init, jax.random.key(0), jax.numpy.zeros((1, 96, 96, 3))
  )
  table = shapes['params']['attnpool']['pos_embed']
  named = {'attnpool.pos_embed': jax.numpy.zeros(table.shape)}
  assert position_grid.image_side(named, small) == 96
