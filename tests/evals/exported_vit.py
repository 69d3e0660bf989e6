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


def exported_vit(*, channels: int = 3, **changes: Any) -> ExportedEncoder:
  """Returns the encoder, for images of `SIZE` pixels.

  Args:
    channels: of the pictures.
    **changes: keys of section `encoder` that differ.
  """
  section = SECTION | changes
  encoder = models.make_encoder(**section)
  variables = jax.jit(encoder.init)(
    jax.random.key(0), jnp.zeros((1, SIZE, SIZE, channels))
  )
  normal = {'mean': (0.5,) * channels, 'std': (0.5,) * channels}
  of_bands = {'channels': channels} if channels != 3 else {}
  return ExportedEncoder(
    section=section,
    variables=jax.device_get(variables),
    preprocessing=usual(SIZE, **normal, **of_bands),
    step=7,
    config_hash='abc',
  )
