import dataclasses
import json
import types

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import models
from jaxssl.augment.preprocessing import Preprocessing
from jaxssl.errors import UserError
from jaxssl.job import exported_encoder
from jaxssl.weights import exported

PREPROCESSING = Preprocessing(
  image_size=16,
  resize_size=21,
  resize='squash',
  interpolation='lanczos',
  offset='floor',
  mean=(0.5, 0.25, 0.125),
  std=(0.5, 0.25, 1.0),
)
SECTION = {'name': 'vit_ti8', 'dim': 8, 'depth': 1, 'num_heads': 2}


def _encoder(**changes):
  """Weights that are noise; shapes as the encoder wants them."""
  encoder = models.make_encoder(**SECTION)
  random = np.random.default_rng(0)
  variables = jax.tree.map(
    lambda leaf: random.normal(size=leaf.shape).astype(leaf.dtype),
    exported.abstract_variables(encoder, 16),
  )
  whole = exported.ExportedEncoder(
    section=SECTION,
    variables=variables,
    preprocessing=PREPROCESSING,
    step=7,
    config_hash='0123abcd',
  )
  return dataclasses.replace(whole, **changes)


def test_round_trip_is_exact(tmp_path):
  saved = _encoder()
  found = exported.load_encoder(exported.save_encoder(tmp_path / 'a', saved))
  chex.assert_trees_all_equal(found.variables, saved.variables)
  chex.assert_trees_all_equal_dtypes(found.variables, saved.variables)
  for field in dataclasses.fields(saved):
    if field.name != 'variables':
      assert getattr(found, field.name) == getattr(saved, field.name)
  assert found.encoder == models.make_encoder(**SECTION)


@pytest.mark.parametrize('position', ['learned', 'relative'])
def test_encoder_for_images_of_another_size_than_in_training(
  tmp_path, position
):
  section = {**SECTION, 'position': position}
  encoder = models.make_encoder(**section)
  variables = jax.tree.map(
    lambda leaf: np.ones(leaf.shape, leaf.dtype),
    exported.abstract_variables(encoder, 16),
  )
  saved = _encoder(
    section=section,
    variables=variables,
    preprocessing=PREPROCESSING.of_size(40),
  )
  found = exported.load_encoder(exported.save_encoder(tmp_path, saved))
  features, _ = encoder.apply(found.variables, jnp.ones((2, 40, 40, 3)))
  assert features.shape == (2, 8)


def test_positions_that_are_of_no_square_grid(tmp_path):
  saved = _encoder()
  saved.variables['params']['pos_embed'] = np.zeros((1, 6, 8), np.float32)
  exported.save_encoder(tmp_path, saved)
  with pytest.raises(UserError, match=r'pos_embed: \(1, 6, 8\) instead of'):
    exported.load_encoder(tmp_path)


def test_batch_statistics_are_kept(tmp_path):
  section = {'name': 'resnet18', 'width': 0.0625}
  encoder = models.make_encoder(**section)
  variables = jax.tree.map(
    lambda leaf: np.full(leaf.shape, 0.5, leaf.dtype),
    exported.abstract_variables(encoder, 32),
  )
  saved = _encoder(
    section=section,
    variables=variables,
    preprocessing=PREPROCESSING.of_size(32),
  )
  found = exported.load_encoder(exported.save_encoder(tmp_path, saved))
  assert set(found.variables) == {'params', 'batch_stats'}
  chex.assert_trees_all_equal(found.variables, variables)


def test_further_towers_are_kept_and_replaced(tmp_path):
  decoder = {'params': {'output': {'kernel': np.ones((2, 3), np.float32)}}}
  exported.save_encoder(tmp_path, _encoder(towers={'decoder': decoder}))
  found = exported.load_encoder(tmp_path)
  assert set(found.towers) == {'decoder'}
  chex.assert_trees_all_equal(found.towers['decoder'], decoder)
  exported.save_encoder(tmp_path, _encoder())
  assert exported.load_encoder(tmp_path).towers == {}


def test_all_that_a_method_exports_is_kept():
  run = types.SimpleNamespace(
    config={'encoder': SECTION},
    preprocessing=PREPROCESSING,
  )
  towers = {'encoder': {'params': 1}, 'decoder': {'params': 2}}
  found = exported_encoder(run, towers, step=3)
  assert found.variables == {'params': 1}
  assert found.towers == {'decoder': {'params': 2}}
  assert found.preprocessing == PREPROCESSING


def test_export_of_a_time_without_towers(tmp_path):
  exported.save_encoder(tmp_path, _encoder())
  info = json.loads((tmp_path / exported.INFO).read_text())
  del info['towers']
  (tmp_path / exported.INFO).write_text(json.dumps(info))
  assert exported.load_encoder(tmp_path).towers == {}


def test_images_are_normalised_as_in_training():
  images = jnp.full((1, 2, 2, 3), 255, jnp.uint8)
  expected = np.broadcast_to([1.0, 3.0, 0.875], (1, 2, 2, 3))
  np.testing.assert_allclose(_encoder().normalize(images), expected, rtol=1e-6)


def test_writing_again_replaces(tmp_path):
  exported.save_encoder(tmp_path, _encoder())
  exported.save_encoder(tmp_path, _encoder(step=8))
  assert exported.load_encoder(tmp_path).step == 8
  assert {path.name for path in tmp_path.iterdir()} == {
    exported.WEIGHTS,
    exported.INFO,
  }


def test_half_an_export_is_not_taken_for_a_whole_one(tmp_path, monkeypatch):
  exported.save_encoder(tmp_path, _encoder())

  def fail(path, tensors):
    raise OSError(28, 'No space left on device')

  monkeypatch.setattr(exported.safetensors_file, 'write', fail)
  with pytest.raises(UserError, match=r'cannot write the encoder.*No space'):
    exported.save_encoder(tmp_path, _encoder(step=8))
  with pytest.raises(UserError, match='no encoder in'):
    exported.load_encoder(tmp_path)


def test_file_in_the_way(tmp_path):
  (tmp_path / 'file').write_text('')
  with pytest.raises(UserError, match='cannot write the encoder'):
    exported.save_encoder(tmp_path / 'file', _encoder())


def test_nothing_there(tmp_path):
  with pytest.raises(UserError, match=r'no encoder in .*no encoder.json'):
    exported.load_encoder(tmp_path)


@pytest.mark.parametrize('text', ['{"section": ', '[]', '{"step": 1}'])
def test_damaged_description(tmp_path, text):
  exported.save_encoder(tmp_path, _encoder())
  (tmp_path / exported.INFO).write_text(text)
  with pytest.raises(UserError, match=r'encoder.json.* is damaged'):
    exported.load_encoder(tmp_path)


def test_missing_weights(tmp_path):
  exported.save_encoder(tmp_path, _encoder())
  (tmp_path / exported.WEIGHTS).unlink()
  with pytest.raises(UserError, match=r'encoder\.safetensors'):
    exported.load_encoder(tmp_path)


def test_weights_of_another_encoder_name_the_first_mismatches(tmp_path):
  exported.save_encoder(tmp_path, _encoder())
  info = json.loads((tmp_path / exported.INFO).read_text())
  info['section']['dim'] = 16
  (tmp_path / exported.INFO).write_text(json.dumps(info))
  with pytest.raises(
    UserError,
    match=r"of encoder 'vit_ti8': .*\(8,\) instead of \(16,\).*and \d+ mo",
  ):
    exported.load_encoder(tmp_path)
