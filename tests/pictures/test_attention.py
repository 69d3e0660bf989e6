import jax
import jax.numpy as jnp
import numpy as np

from jaxssl import models
from jaxssl.augment.view import Augment
from jaxssl.pictures import attention


def test_overlay_puts_each_weight_over_its_patch():
  images = np.full((1, 8, 8, 3), 100, np.uint8)
  maps = np.array([[[0.1, 0.2], [0.3, 0.4]]])
  shown = attention.overlay(images, maps).astype(int).sum(axis=-1)[0]
  corners = shown[::7, ::7]
  assert corners[0, 0] < corners[0, 1] < corners[1, 0] < corners[1, 1]
  for i in range(2):
    for j in range(2):
      patch = shown[4 * i : 4 * i + 4, 4 * j : 4 * j + 4]
      assert (patch == patch[0, 0]).all()


def test_even_attention_is_drawn_without_a_division_by_zero():
  images = np.full((1, 4, 4, 3), 100, np.uint8)
  shown = attention.overlay(images, np.full((1, 2, 2), 0.25))
  assert (shown == shown[0, 0, 0]).all()


def test_panel_has_a_column_for_each_head_and_the_mean():
  encoder = models.make_encoder(
    'vit_ti8', dim=16, depth=1, num_heads=2, num_registers=1
  )
  variables = jax.jit(encoder.init)(
    jax.random.key(0), jnp.zeros((1, 16, 16, 3))
  )
  images = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), np.uint8)
  panel = attention.attention_panel(
    encoder, variables, Augment(views=()).normalize, images
  )
  assert [column.title for column in panel.columns] == [
    'image',
    'mean of heads',
    'head 1',
    'head 2',
  ]
  assert all(column.images.shape == images.shape for column in panel.columns)
