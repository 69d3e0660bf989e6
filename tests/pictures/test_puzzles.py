import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.augment.view import Augment
from jaxssl.ops import permutations
from jaxssl.pictures import puzzles
from tests import tiny_methods

AUGMENT = Augment(views=(), mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.1))


@pytest.fixture(scope='module')
def images():
  return np.random.default_rng(0).integers(0, 256, (4, 30, 30, 3), np.uint8)


def _net(answer):
  """A network that gives `answer(inputs)` the largest logit."""

  def apply(variables, *inputs, train):
    del variables
    assert not train
    return answer(*inputs)

  return types.SimpleNamespace(apply=apply)


def test_rotation_shows_all_four_and_the_answers(images):
  half_a_turn = _net(lambda x: jax.nn.one_hot(jnp.full(len(x), 2), 4))
  method = types.SimpleNamespace(net=half_a_turn)
  panel = puzzles.rotation_panel(method, {}, {}, images, AUGMENT)
  for k, column in enumerate(panel.columns):
    np.testing.assert_array_equal(column.images[1], np.rot90(images[1], k))
    assert column.captions == ['answer: 180'] * 4
  assert '25% of the answers here are right' in panel.text


@pytest.mark.parametrize('solves', [True, False])
def test_jigsaw_is_put_back_as_answered(images, solves):
  table = permutations.hamming_permutations(6, length=9, seed=0)
  task = tiny_methods.make('jigsaw', patch_size=6, channel_shift=1)

  def answer(tiles, orders):
    del tiles
    same = (orders == jnp.asarray(table)[None]).all(axis=-1)[:, None]
    return jnp.where(same == solves, 1.0, 0.0)

  method = types.SimpleNamespace(net=_net(answer), cut=task.cut)
  state = {'permutations': table, 'stats': {}}
  panel = puzzles.jigsaw_panel(method, {}, state, images, AUGMENT)
  _, shuffled, solved = panel.columns
  cut_key, _ = jax.random.split(jax.random.key(0))
  keys = jax.random.split(cut_key, 4)
  cut = jax.jit(task.cut)(keys, jnp.asarray(images))
  in_order = puzzles.mosaic(np.asarray(cut))
  assert not (shuffled.images == in_order).all()
  assert (solved.images == in_order).all() == solves
  assert list(solved.captions) == ['right' if solves else 'wrong'] * 4


def test_relative_patch_shows_the_pair_and_the_answer(images):
  task = tiny_methods.make('relative_patch', patch_size=8, gap=3)

  def left(patches, orders):
    del orders
    return jax.nn.one_hot(jnp.full((len(patches), 2), 3), 8)

  method = types.SimpleNamespace(net=_net(left), pairs=task.pairs, patch_size=8)
  panel = puzzles.relative_patch_panel(method, {}, {}, images, AUGMENT)
  whole, first, second = panel.columns
  assert list(second.captions) == ['answer: left'] * 4
  x = AUGMENT.normalize(jnp.asarray(images))
  pairs = jax.jit(task.pairs)(jax.random.key(0), x)
  for i, corners in enumerate(np.asarray(pairs.corners)):
    for (top, start), patch in zip(corners, (first, second), strict=True):
      square = slice(top, top + 8), slice(start, start + 8)
      np.testing.assert_array_equal(patch.images[i], images[i][square])
      np.testing.assert_array_equal(whole.images[i][square], images[i][square])
    assert whole.images[i].sum() < images[i].sum()
    # The caption says where the second lies as seen from the first.
    down, across = corners[1] - corners[0]
    assert ('above' in first.captions[i]) == (down < -8)
    assert ('below' in first.captions[i]) == (down > 8)
    assert ('left' in first.captions[i]) == (across < -8)
    assert ('right' in first.captions[i]) == (across > 8)
