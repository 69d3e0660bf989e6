"""Reads the tokenizer of pictures that a run of 'dvae' has exported."""

import os

import jax.numpy as jnp

from jaxssl import errors
from jaxssl.methods.codebook import Codebook
from jaxssl.models.dvae import DVAEEncoder
from jaxssl.weights.exported import load_encoder


def load_codebook(directory: str | os.PathLike[str]) -> Codebook:
  """Reads a tokenizer of pictures.

  Args:
    directory: folder of an exported encoder, for example `runs/dvae/export`.

  Raises:
    UserError: it is not there, damaged, or no tokenizer.
  """
  try:
    exported = load_encoder(directory)
  except errors.UserError as error:
    raise errors.UserError(
      f'method.tokenizer: {error}; train one with method dvae and give '
      'WORKDIR/export'
    ) from error
  if not isinstance(exported.encoder, DVAEEncoder):
    raise errors.UserError(
      f'method.tokenizer {str(directory)!r} holds the encoder '
      f"{exported.section['name']!r}; it must be a 'dvae'"
    )
  return Codebook(
    # Deep sums decide between codes that are almost equally likely.
    encoder=exported.encoder.clone(dtype=jnp.float32),
    variables=exported.variables,
    mean=exported.mean,
    std=exported.std,
    decoder=exported.towers.get('decoder'),
  )
