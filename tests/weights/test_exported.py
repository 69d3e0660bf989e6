import contextlib
import dataclasses
import json
import shutil
import types

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import models
from jaxssl.augment.preprocessing import Preprocessing, usual
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
  (tmp_path / 'file').touch()
  with pytest.raises(UserError, match=r"no encoder in '.*file'"):
    exported.load_encoder(tmp_path / 'file')


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


# What may stand in encoder.json, and what must be said of it.
EDITS = {
  'size as text': {'image_size': 'x'},
  'size of nothing': {'image_size': 0},
  'size below zero': {'image_size': -16},
  'size as a fraction': {'image_size': 16.5},
  'dim as text': {'section': {**SECTION, 'dim': 'x'}},
  'no dim': {'section': {**SECTION, 'dim': 0}},
  'no heads': {'section': {**SECTION, 'num_heads': 0}},
  'heads that do not divide': {'section': {**SECTION, 'num_heads': 3}},
  'depth as a list': {'section': {**SECTION, 'depth': [1]}},
  'no section': {'section': None},
  'section without a name': {'section': {}},
  'section as a list': {'section': [1]},
  'name as a number': {'section': {'name': 3}},
  'unknown name': {'section': {'name': 'vit_x8'}},
  'unknown attribute': {'section': {**SECTION, 'color': 1}},
  'mean as text': {'mean': 'abc'},
  'mean of one channel': {'mean': [0.5]},
  'mean that is no number': {'mean': [float('nan')] * 3},
  'deviation of zero': {'std': [0.0] * 3},
  'no deviation': {'std': None},
  'step as text': {'step': 'x'},
  'step as a truth': {'step': True},
  'hash as a number': {'config_hash': 3},
  'towers as text': {'towers': 'text'},
  'towers of numbers': {'towers': [1]},
  'checksums as a list': {'checksums': [1]},
  'more than there is': {'more': 1},
}


@pytest.mark.parametrize('name', EDITS)
def test_edits_are_told_in_one_line_that_names_the_file(name, tmp_path):
  exported.save_encoder(tmp_path, _encoder())
  path = tmp_path / exported.INFO
  path.write_text(json.dumps(json.loads(path.read_text()) | EDITS[name]))
  with pytest.raises(UserError, match=r'encoder\.json is damaged') as error:
    exported.load_encoder(tmp_path)
  assert '\n' not in str(error.value)


def test_text_that_is_no_utf8(tmp_path):
  exported.save_encoder(tmp_path, _encoder())
  path = tmp_path / exported.INFO
  path.write_bytes(path.read_bytes().replace(b'vit_ti8', b'vit\xe9'))
  with pytest.raises(UserError, match=r'encoder\.json is damaged: .*UTF-8'):
    exported.load_encoder(tmp_path)


def test_cut_and_changed_descriptions_are_read_or_told(tmp_path, monkeypatch):
  exported.save_encoder(tmp_path, _encoder())
  # Of what fits the weights, the shapes are known: tracing takes long.
  wanted = exported.abstract_variables(models.make_encoder(**SECTION), 16)
  monkeypatch.setattr(exported, 'abstract_variables', lambda *args: wanted)
  path, random = tmp_path / exported.INFO, np.random.default_rng(0)
  good, read = path.read_bytes(), 0
  for trial in range(300):
    content = bytearray(good)
    for _ in range(random.integers(1, 4)):
      content[random.integers(len(content))] = random.integers(256)
    end = len(content) if trial % 3 else random.integers(len(content))
    path.write_bytes(content[:end])
    with contextlib.suppress(UserError):
      exported.load_encoder(tmp_path)
      read += 1
  assert read < 150


@pytest.mark.parametrize('tower', ['encoder', 'decoder'])
def test_a_flipped_bit_of_the_weights_is_noticed(tower, tmp_path):
  decoder = {'params': {'kernel': np.ones((20, 30), np.float32)}}
  exported.save_encoder(tmp_path, _encoder(towers={'decoder': decoder}))
  path = tmp_path / f'{tower}.safetensors'
  content = bytearray(path.read_bytes())
  content[-5] ^= 1
  path.write_bytes(content)
  with pytest.raises(UserError, match=rf'{tower}\.safetensors is damaged, or'):
    exported.load_encoder(tmp_path)


def test_weights_of_another_export_are_noticed(tmp_path):
  exported.save_encoder(tmp_path / 'a', _encoder())
  zeros = jax.tree.map(np.zeros_like, _encoder().variables)
  exported.save_encoder(tmp_path / 'b', _encoder(variables=zeros))
  shutil.copy(tmp_path / 'b' / exported.WEIGHTS, tmp_path / 'a')
  with pytest.raises(UserError, match='its checksum is another'):
    exported.load_encoder(tmp_path / 'a')


def test_exports_of_earlier_versions_are_read_with_one_warning(
  tmp_path, caplog
):
  exported.save_encoder(tmp_path, _encoder())
  path = tmp_path / exported.INFO
  info = json.loads(path.read_text())
  del info['checksums']
  path.write_text(json.dumps(info))
  found = exported.load_encoder(tmp_path)
  chex.assert_trees_all_equal(found.variables, _encoder().variables)
  (record,) = caplog.records
  assert 'of an earlier version, without checksums' in record.getMessage()


def _without_rule(folder, **changes):
  """An export as it was before descriptions said how pictures are resized."""
  exported.save_encoder(folder, _encoder(**changes))
  info = json.loads((folder / exported.INFO).read_text())
  for name in ('resize_size', 'resize', 'interpolation', 'offset'):
    del info[name]
  (folder / exported.INFO).write_text(json.dumps(info))
  return exported.load_encoder(folder)


def test_a_description_without_a_rule_means_the_usual_one(tmp_path, caplog):
  rule = PREPROCESSING.of_size(128)
  with caplog.at_level('WARNING', logger='jaxssl'):
    found = _without_rule(tmp_path, preprocessing=rule)
  assert found.preprocessing == usual(128, mean=rule.mean, std=rule.std)
  assert found.preprocessing.resize_size == 146
  assert 'how pictures are resized' not in caplog.text


def test_imported_weights_without_a_rule_are_told(tmp_path, caplog):
  with caplog.at_level('WARNING', logger='jaxssl'):
    _without_rule(tmp_path, step=0)
  assert 'encoder.json does not say how pictures are resized' in caplog.text


@pytest.mark.parametrize(
  'changes',
  [
    {'resize': 'longest'},
    {'interpolation': 3},
    {'offset': None},
    {'resize_size': 4},
    {'resize_size': '21'},
    {'mean': [0.5, 0.5]},
    {'std': [0.5, 0.5, 0.0]},
  ],
)
def test_a_damaged_rule_is_one_line(changes, tmp_path):
  exported.save_encoder(tmp_path, _encoder())
  info = json.loads((tmp_path / exported.INFO).read_text())
  (tmp_path / exported.INFO).write_text(json.dumps(info | changes))
  with pytest.raises(UserError, match=r'^.*encoder\.json is damaged: [^\n]*$'):
    exported.load_encoder(tmp_path)
