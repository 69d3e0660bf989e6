"""DINO collapses in two ways, and its metrics show that and which."""

import functools
import math

import jax
import numpy as np
import optax
import pytest

from jaxssl import models
from jaxssl.augment.crop_spec import CropSpec
from jaxssl.augment.view import Augment, View
from jaxssl.methods import DINO
from jaxssl.train.state import init_state
from jaxssl.train.step import train_step
from tests.tiny import TinyEncoder

PROTOTYPES, STEPS = 64, 60
AUGMENT = Augment(views=(View(crop=CropSpec(size=8, scale=(0.5, 1.0))),) * 2)


def _train(**changes):
  """Returns the metrics after some steps on noise of 16 images."""
  head = models.DINOHead(hidden_dim=32, bottleneck_dim=32, out_dim=PROTOTYPES)
  method = DINO(encoder=TinyEncoder(), head=head, momentum=0.9, **changes)
  parts = {'method': method, 'augment': AUGMENT, 'tx': optax.adam(0.01)}
  images = np.random.default_rng(0).integers(0, 256, (16, 4, 4, 3))
  batch = {'image': images.astype(np.uint8).repeat(4, 1).repeat(4, 2)}
  state = jax.jit(functools.partial(init_state, **parts))(
    jax.random.key(0), batch
  )
  step = jax.jit(functools.partial(train_step, **parts))
  for _ in range(STEPS):
    state, metrics = step(state, batch)
  return metrics


@pytest.mark.parametrize(
  ('changes', 'expected'),
  [
    # The centre stays 0: one prototype takes all images.
    ({'center_momentum': 1.0}, 0.0),
    # Nothing sharpens the targets: all prototypes get the same.
    ({'teacher_temperature': 1.0}, math.log(PROTOTYPES)),
  ],
)
def test_without_centering_or_sharpening(changes, expected):
  metrics = _train(**changes)
  for name in ('loss', 'teacher_entropy'):
    np.testing.assert_allclose(metrics[name], expected, atol=0.05)
  np.testing.assert_allclose(metrics['teacher_information'], 0.0, atol=0.05)
