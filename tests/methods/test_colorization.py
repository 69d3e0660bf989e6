import functools
import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.errors import UserError
from jaxssl.methods import Colorization
from jaxssl.methods import colorization as lib
from jaxssl.ops import ab_bins, lab
from tests.tiny import TinyEncoder

ROWS, SIZE = 5, 16


def _images():
  """Colour images; the last one is gray."""
  images = np.random.default_rng(0).uniform(size=(ROWS, SIZE, SIZE, 3))
  images[-1] = images[-1, :, :, :1]
  return images.astype(np.float32)


@functools.lru_cache
def _method_and_variables():
  method = Colorization(encoder=TinyEncoder(), decoder_dim=6)
  batch = {'views': (jnp.asarray(_images()),)}
  params, state = method.init(jax.random.key(0), batch)
  # A prior that is far from uniform.
  prior = np.random.default_rng(1).dirichlet(np.full(313, 0.3))
  state['color_sum'] = jnp.asarray(8 * prior, jnp.float32)
  state['color_count'] = jnp.float32(8)
  return method, params, state


@jax.jit
def _value_and_grad(params, state, images):
  method, _, _ = _method_and_variables()
  return jax.value_and_grad(method.loss, has_aux=True)(
    params, state, {'views': (images,)}, key=jax.random.key(2), step=0
  )


def _logits(method, params, state, images):
  logits, _ = method.net.apply(
    {'params': params, **state['stats']},
    images,
    train=True,
    mutable=['batch_stats'],
  )
  return np.asarray(logits)


def test_gray_input_is_close_to_a_gray_image():
  gray = np.linspace(0, 1, 48).reshape(1, 4, 12, 1).repeat(3, -1)
  found = lib.gray_input(lab.rgb_to_lab(jnp.asarray(gray)))
  assert found.shape == gray.shape
  # Lightness against sRGB's gamma.
  np.testing.assert_allclose(found, gray, atol=0.05)


def test_input_of_the_encoder_does_not_depend_on_colors():
  image = np.asarray(lab.rgb_to_lab(jnp.asarray(_images())))
  faded = lab.lab_to_rgb(jnp.asarray(image * [1.0, 0.2, 0.2]))
  np.testing.assert_allclose(
    lib.gray_input(lab.rgb_to_lab(faded)), lib.gray_input(image), atol=1e-4
  )


def test_prior_is_the_mean_over_coloured_images():
  method, params, state = _method_and_variables()
  (_, aux), _ = _value_and_grad(params, state, _images())
  _, after = method.update(params, state, aux.carry, step=0)
  ab = lab.rgb_to_lab(jnp.asarray(_images()))[: ROWS - 1, ::4, ::4, 1:]
  bins, soft = ab_bins.soft_encode(ab)
  expected = np.zeros(313)
  np.add.at(expected, np.asarray(bins), np.asarray(soft) / 16)
  added = after['color_sum'] - state['color_sum']
  np.testing.assert_allclose(added, expected, atol=1e-6)
  np.testing.assert_allclose(after['color_count'] - state['color_count'], 4)
  np.testing.assert_allclose(
    after['color_sum'].sum(), after['color_count'], rtol=1e-5
  )


def test_gray_images_carry_no_loss():
  _, params, state = _method_and_variables()
  gray = np.repeat(_images()[..., :1], 3, axis=-1)
  (loss, aux), grads = _value_and_grad(params, state, gray)
  assert float(loss) == 0.0
  assert float(aux.metrics['colored']) == 0.0
  for leaf in jax.tree.leaves(grads):
    np.testing.assert_array_equal(leaf, np.zeros_like(leaf))


def test_first_loss_is_ln_313():
  method, _, _ = _method_and_variables()
  images = jnp.asarray(_images()[:-1])
  params, state = method.init(jax.random.key(0), {'views': (images,)})
  (loss, _), _ = _value_and_grad(params, state, images)
  np.testing.assert_allclose(loss, math.log(313), rtol=0.02)


@pytest.mark.parametrize(
  'wrong',
  [{'uniform': 0.0}, {'uniform': 1.1}, {'decoder_dim': 0}],
  ids=lambda wrong: str(wrong),
)
def test_numbers_out_of_range_are_an_error(wrong):
  with pytest.raises(UserError, match=next(iter(wrong))):
    Colorization(encoder=TinyEncoder(), **wrong)


def test_painted_images_keep_their_lightness():
  method, params, state = _method_and_variables()
  painted = method.colorize(params, state, jnp.asarray(_images()))
  chex.assert_shape(painted, (ROWS, SIZE, SIZE, 3))
  # Nearly uniform logits: weak colours, which sRGB has at every lightness
  # between.
  before, after = (
    np.asarray(lab.rgb_to_lab(x))[..., 0] for x in (_images(), painted)
  )
  middle = (before > 30) & (before < 80)
  np.testing.assert_allclose(after[middle], before[middle], atol=0.1)


def test_on_a_gpu_bins_are_compared_instead_of_scattered():
  rng = np.random.default_rng(0)
  shape = (2, 3, 3, 10)
  # Ten different bins at each place.
  bins = jnp.asarray(
    rng.random((2, 3, 3, 313)).argsort(-1)[..., :10], jnp.int32
  )
  weights = jnp.asarray(rng.random(shape, np.float32))
  logits = jnp.asarray(rng.standard_normal((2, 3, 3, 313)), jnp.float32)

  def value_and_grad(entropy):
    return jax.value_and_grad(lambda x: entropy(x, bins, weights).sum())(logits)

  chex.assert_trees_all_close(
    value_and_grad(lib._dense_entropy),
    value_and_grad(lib._sparse_entropy),
    rtol=1e-5,
  )
  chex.assert_trees_all_close(
    lib._counted(bins, weights),
    lib._scattered(bins, weights),
    rtol=1e-5,
  )


@pytest.mark.reference
def test_loss_and_gradient_equal_pytorch():
  import torch

  method, params, state = _method_and_variables()
  (loss, _), grads = _value_and_grad(params, state, _images())

  image = np.array(lab.rgb_to_lab(jnp.asarray(_images())))
  ab = torch.tensor(image[:, ::4, ::4, 1:])
  centers = torch.tensor(ab_bins.bin_centers())
  distance = ((ab[..., None, :] - centers) ** 2).sum(-1)
  near, bins = distance.topk(10, largest=False)
  near = torch.exp(-near / 50)
  target = torch.zeros(distance.shape).scatter_(
    -1, bins, near / near.sum(-1, keepdim=True)
  )
  prior = torch.tensor(np.array(state['color_sum'])) / 8
  rarity = 1 / (0.5 * prior + 0.5 / 313)
  rarity = rarity / (prior * rarity).sum()
  logits = torch.tensor(
    _logits(
      method, params, state, jnp.asarray(image[..., :1] / 100).repeat(3, -1)
    ),
    requires_grad=True,
  )
  entropy = -(target * logits.log_softmax(-1)).sum(-1)
  entropy = entropy * rarity[target.argmax(-1)]
  is_colored = torch.tensor([1.0, 1.0, 1.0, 1.0, 0.0])
  expected = (entropy.mean((1, 2)) * is_colored).mean()
  expected.backward()
  np.testing.assert_allclose(loss, expected.item(), rtol=1e-5)
  # The gradient of the last bias is the sum over places.
  np.testing.assert_allclose(
    grads['logits']['bias'], logits.grad.sum((0, 1, 2)), atol=1e-5
  )
