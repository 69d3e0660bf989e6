"""Small encoders of every kind, as programs are written of them."""

import jax
import numpy as np

from jaxssl import models
from jaxssl.augment.preprocessing import usual
from jaxssl.weights.exported import ExportedEncoder
from tests.models import timm_reference

SIZE = 32
_VIT = {'dim': 16, 'depth': 1, 'num_heads': 2}
_CONVNEXT = {'width': 8, 'blocks': (1, 1, 1, 1)}
CASES = {
  'vit in half precision': {'name': 'vit_s8', **_VIT, 'dtype': 'bfloat16'},
  'stem and relative positions': {
    'name': 'vit_s16',
    **_VIT,
    'dim': 32,
    'stem': 'conv',
    'position': 'relative',
  },
  'rope and registers': {'name': 'dinov3_vit_s16', **_VIT, 'num_registers': 2},
  'siglip': {'name': 'siglip_vit_b16', **_VIT},
  'resnet': {'name': 'resnet18', 'width': 0.125},
  'convnext': {'name': 'convnextv2_t', **_CONVNEXT},
}


def exported(section):
  """An encoder with random weights, statistics and tokens.

  The convolutional ones see five channels of 16 bits.
  """
  section = dict(section)
  encoder = models.make_encoder(**section)
  rule = usual(SIZE, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
  if not section['name'].rpartition('vit')[1]:
    rule = usual(SIZE, mean=(0.5,) * 5, std=(0.2,) * 5, channels=5)
  images = np.zeros((1, SIZE, SIZE, len(rule.mean)), np.float32)
  variables = timm_reference.random_variables(encoder, images)
  return ExportedEncoder(
    section=section,
    variables=jax.tree.map(np.asarray, variables),
    preprocessing=rule,
    step=1,
    config_hash='x',
  )
