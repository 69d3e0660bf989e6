import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import models
from jaxssl.errors import UserError
from jaxssl.models.puzzle import PuzzleNet
from tests.tiny import TinyEncoder

ROWS, TILES = 3, 4


@functools.lru_cache
def _net_and_tiles():
  net = PuzzleNet(TinyEncoder(), num_classes=5, embed_dim=4, hidden_dim=8)
  tiles = jax.random.normal(jax.random.key(0), (ROWS, TILES, 8, 8, 3))
  variables = net.init(jax.random.key(1), tiles, _orders(), train=False)
  return net, variables, tiles


def _orders():
  orders = [[0, 1, 2, 3], [3, 1, 0, 2]]
  return jnp.tile(jnp.array(orders)[None], (ROWS, 1, 1))


def test_an_order_of_tiles_is_as_good_as_tiles_in_that_order():
  net, variables, tiles = _net_and_tiles()
  logits = net.apply(variables, tiles, _orders(), train=False)
  assert logits.shape == (ROWS, 2, 5)
  moved = tiles[:, np.array([3, 1, 0, 2])]
  expected = net.apply(variables, moved, _orders()[:, :1], train=False)
  np.testing.assert_allclose(logits[:, 1], expected[:, 0], atol=1e-6)


def test_tiles_of_other_images_do_not_matter():
  net, variables, tiles = _net_and_tiles()
  logits = net.apply(variables, tiles, _orders(), train=False)
  other = net.apply(variables, tiles.at[0].set(0.0), _orders(), train=False)
  np.testing.assert_allclose(logits[1:], other[1:], atol=1e-6)


def test_learned_positions_need_to_know_their_grid():
  with pytest.raises(UserError, match='sincos_mae'):
    PuzzleNet(models.make_encoder('vit_ti4'), num_classes=5)


@pytest.mark.parametrize('fields', [{'grid': (2, 2)}, {'position': 'none'}])
def test_other_positions_are_fine(fields):
  encoder = models.make_encoder('vit_ti4', **fields)
  assert PuzzleNet(encoder, num_classes=5).encoder is encoder
