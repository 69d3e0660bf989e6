import dataclasses

import chex
import jax
import jax.numpy as jnp
import pytest

from jaxssl import models
from jaxssl.errors import UserError
from jaxssl.weights.codebook import load_codebook
from jaxssl.weights.exported import load_encoder, save_encoder
from tests.tiny_tokenizer import tiny_tokenizer

VIT = {'name': 'vit_ti8', 'dim': 8, 'depth': 1, 'num_heads': 2}


def test_codebook_is_the_export_in_float32(tmp_path):
  plain = load_encoder(tiny_tokenizer())
  section = {**plain.section, 'dtype': 'bfloat16'}
  save_encoder(tmp_path, dataclasses.replace(plain, section=section))
  codebook = load_codebook(tmp_path)
  assert codebook.encoder == plain.encoder.clone(dtype=jnp.float32)
  chex.assert_trees_all_equal(codebook.variables, plain.variables)
  assert (codebook.mean, codebook.std) == (plain.mean, plain.std)
  assert codebook.decoder is None


def test_missing_tokenizer_is_a_user_error(tmp_path):
  with pytest.raises(UserError, match='train one with method dvae'):
    load_codebook(tmp_path / 'none')


def test_another_encoder_is_no_tokenizer(tmp_path):
  images = jnp.zeros((1, 16, 16, 3))
  exported = dataclasses.replace(
    load_encoder(tiny_tokenizer()),
    section=VIT,
    variables=jax.jit(models.make_encoder(**VIT).init)(
      jax.random.key(0), images
    ),
  )
  save_encoder(tmp_path, exported)
  with pytest.raises(UserError, match="must be a 'dvae'"):
    load_codebook(tmp_path)
