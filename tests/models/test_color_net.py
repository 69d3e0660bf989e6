import jax
import jax.numpy as jnp
import pytest

from jaxssl import models
from jaxssl.errors import UserError
from jaxssl.models.color_net import ColorNet


def _shape(encoder, size, **fields):
  net = ColorNet(encoder, 7, decoder_dim=4, **fields)
  images = jnp.zeros((2, size, size, 3))
  logits, _ = jax.eval_shape(
    lambda: net.init_with_output(jax.random.key(0), images, train=False)
  )
  return logits.shape


@pytest.mark.parametrize(
  ('name', 'options', 'size', 'stride', 'side'),
  [
    ('resnet18', {'width': 0.125}, 64, 4, 16),
    ('resnet18', {'width': 0.125, 'stem': 'cifar'}, 32, 4, 8),
    ('resnet18', {'width': 0.125, 'stem': 'cifar'}, 32, 8, 4),
    ('vit_ti16', {'depth': 1}, 64, 4, 16),
    ('vit_ti4', {'depth': 1}, 32, 4, 8),
  ],
)
def test_grid_has_the_stride_that_was_asked_for(
  name, options, size, stride, side
):
  encoder = models.make_encoder(name, **options)
  assert _shape(encoder, size, output_stride=stride) == (2, side, side, 7)


@pytest.mark.parametrize('stride', [3, 16])
def test_a_stride_that_cannot_be_reached_is_an_error(stride):
  encoder = models.make_encoder('vit_ti8', depth=1)
  with pytest.raises(UserError, match='output_stride'):
    _shape(encoder, 48, output_stride=stride)
