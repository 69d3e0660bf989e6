"""An export that another library understands otherwise is not kept."""

import dataclasses
import json
import logging

import numpy as np
import pytest

from jaxssl.errors import UserError
from jaxssl.weights import (
  huggingface_folder,
  loaded_again,
  safetensors_file,
  timm_model,
)
from tests.weights import program_cases

VIT = {'name': 'vit_s8', 'dim': 16, 'depth': 1, 'num_heads': 2}
RESNET = {'name': 'resnet18'}
TOWERS = (
  {**VIT, 'name': 'clip_vit_b8'},
  {**VIT, 'name': 'siglip_vit_b8'},
)
LIBRARIES = {
  'timm': (timm_model.save, loaded_again.by_timm),
  'transformers': (huggingface_folder.save, loaded_again.by_transformers),
}
CASES = [
  *((library, section) for library in LIBRARIES for section in (VIT, RESNET)),
  *(('transformers', tower) for tower in TOWERS),
]


@pytest.mark.reference
@pytest.mark.parametrize(('library', 'section'), CASES)
def test_features_are_compared(library, section, tmp_path, caplog):
  save, compare = LIBRARIES[library]
  exported = program_cases.exported(section)
  save(tmp_path, exported)
  with caplog.at_level(logging.INFO):
    compare(tmp_path, exported)
  assert f'loaded again by {library}: features differ by' in caplog.text


@pytest.mark.reference
@pytest.mark.parametrize(('library', 'section'), CASES)
def test_what_differs_is_refused(library, section, tmp_path):
  save, compare = LIBRARIES[library]
  exported = program_cases.exported(section)
  save(tmp_path, exported)
  path = tmp_path / 'model.safetensors'
  tensors = dict(safetensors_file.read(path))
  name = max(tensors, key=lambda name: tensors[name].size)
  tensors[name] = np.ascontiguousarray(tensors[name][::-1])
  safetensors_file.write(path, tensors, {'format': 'pt'})
  with pytest.raises(UserError, match='other features than the encoder'):
    compare(tmp_path, exported)


@pytest.mark.parametrize(
  'error',
  [
    ModuleNotFoundError("No module named 'torch'"),
    RuntimeError('operator torchvision::nms does not exist\nand so on'),
  ],
)
def test_a_library_that_cannot_be_imported_is_told(error, monkeypatch, caplog):
  def fail(name):
    raise error

  monkeypatch.setattr(loaded_again.importlib, 'import_module', fail)
  with caplog.at_level(logging.INFO):
    assert not loaded_again.is_possible('timm')
  reason = str(error).splitlines()[0]
  assert caplog.messages == [
    f'not loaded again and compared: timm cannot be imported here ({reason})'
  ]


@pytest.mark.reference
def test_a_config_of_another_shape_is_refused(tmp_path):
  exported = program_cases.exported(VIT)
  timm_model.save(tmp_path, exported)
  path = tmp_path / 'config.json'
  info = json.loads(path.read_text())
  info['model_args']['num_heads'] = 4
  path.write_text(json.dumps(info))
  with pytest.raises(UserError, match='other features than the encoder'):
    loaded_again.by_timm(tmp_path, exported)


@pytest.mark.reference
@pytest.mark.parametrize('antialias', [True, False])
def test_timm_gets_positions_as_the_encoder_resizes_them(antialias, tmp_path):
  section = {**VIT, 'position': 'learned', 'antialias': antialias}
  exported = program_cases.exported(section)
  rule = exported.preprocessing.of_size(24)
  exported = dataclasses.replace(exported, preprocessing=rule)
  timm_model.save(tmp_path, exported)
  loaded_again.by_timm(tmp_path, exported)


@pytest.mark.reference
def test_pictures_have_the_size_of_the_stored_positions(tmp_path, caplog):
  exported = program_cases.exported({**VIT, 'position': 'learned'})
  rule = exported.preprocessing.of_size(48)
  exported = dataclasses.replace(exported, preprocessing=rule)
  _, written = huggingface_folder.save(tmp_path, exported)
  assert 'stored positions are for 32 pixels' in caplog.text
  found = json.loads((tmp_path / 'preprocessor_config.json').read_text())
  assert found['crop_size'] == {'height': 32, 'width': 32}
  assert written.image_size == 32
  loaded_again.by_transformers(tmp_path, written)
