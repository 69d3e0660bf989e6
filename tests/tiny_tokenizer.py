"""A dVAE of sixteen codes at random weights, and its export in a folder."""

import functools
import tempfile

import jax
import jax.numpy as jnp

from jaxssl import models
from jaxssl.augment.preprocessing import usual
from jaxssl.methods.codebook import Codebook
from jaxssl.weights.codebook import load_codebook
from jaxssl.weights.exported import ExportedEncoder, save_encoder

VOCABULARY = 16
SECTION = {
  'name': 'dvae',
  'width': 8,
  'blocks_per_group': 1,
  'vocab_size': VOCABULARY,
}


@functools.lru_cache
def tiny_tokenizer(channels: int = 3) -> str:
  """Returns the folder, the same one in a process."""
  encoder = models.make_encoder(**SECTION)
  images = jnp.zeros((1, 16, 16, channels))
  exported = ExportedEncoder(
    section=SECTION,
    variables=jax.device_get(jax.jit(encoder.init)(jax.random.key(5), images)),
    preprocessing=usual(16, channels=None if channels == 3 else channels),
    step=0,
    config_hash='0',
  )
  return str(save_encoder(tempfile.mkdtemp(), exported))


@functools.lru_cache
def tiny_codebook(channels: int = 3) -> Codebook:
  """Returns the tokenizer in that folder."""
  return load_codebook(tiny_tokenizer(channels))
