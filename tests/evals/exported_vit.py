"""A vision transformer of two blocks at random weights, as an export."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxssl import models
from jaxssl.augment.preprocessing import usual
from jaxssl.weights.exported import ExportedEncoder

SIZE = 8
SECTION = {
  'name': 'vit_ti4',
  'dim': 16,
  'depth': 2,
  'num_heads': 2,
  'use_mask_token': True,
}


def exported_vit(**changes: Any) -> ExportedEncoder:
  """Returns the encoder, for images of `SIZE` pixels.

  Args:
    **changes: keys of section `encoder` that differ.
  """
  section = SECTION | changes
  encoder = models.make_encoder(**section)
  variables = jax.jit(encoder.init)(
    jax.random.key(0), jnp.zeros((1, SIZE, SIZE, 3))
  )
  return ExportedEncoder(
    section=section,
    variables=jax.device_get(variables),
    preprocessing=usual(SIZE, mean=(0.5,) * 3, std=(0.5,) * 3),
    step=7,
    config_hash='abc',
  )
