import shlex
import subprocess
import sys

import numpy as np
import pytest

from jaxssl.errors import UserError
from jaxssl.weights import model_folder, safetensors_file

ID = 'owner/name'


def _folder(path, *names):
  path.mkdir(parents=True)
  for name in names:
    (path / name).write_text('{}')
  return path


@pytest.mark.parametrize(
  ('library', 'name'),
  [
    ('huggingface', 'model.safetensors'),
    ('timm', 'model.safetensors'),
    ('open_clip', 'open_clip_model.safetensors'),
  ],
)
def test_weights_are_found_in_a_folder_or_given(library, name, tmp_path):
  folder = _folder(tmp_path / 'model', name, 'pytorch_model.bin')
  for given in (folder, folder / name):
    assert model_folder.find(str(given), library) == folder / name
  other = folder / 'pytorch_model.bin'
  assert model_folder.find(str(other), library) == other


@pytest.fixture
def offline(tmp_path, monkeypatch):
  """An empty cache of the hub's library, and no network."""
  constants = pytest.importorskip('huggingface_hub.constants')
  monkeypatch.setattr(constants, 'HF_HUB_OFFLINE', True)
  monkeypatch.setattr(constants, 'HF_HUB_CACHE', str(tmp_path / 'cache'))
  return tmp_path / 'cache'


def test_a_hub_id_is_found_where_it_was_downloaded(offline):
  entry = offline / 'models--owner--name'
  snapshot = _folder(entry / 'snapshots' / '0a1b', 'model.safetensors')
  _folder(entry / 'refs')
  (entry / 'refs' / 'main').write_text('0a1b')
  found = model_folder.find(ID, 'huggingface')
  assert found == snapshot / 'model.safetensors'


def test_a_hub_id_without_network_says_what_to_download(offline):
  assert not offline.exists()
  with pytest.raises(
    UserError, match=r"^'owner/name' .*download open_clip_model\.safe.*folder$"
  ):
    model_folder.find(ID, 'open_clip')


@pytest.mark.parametrize(
  ('given', 'library', 'message'),
  [
    ('missing', 'huggingface', "'missing' does not exist"),
    (ID, 'dino', "'owner/name' does not exist"),
    ('empty', 'dino', 'is a folder; give the .safetensors file'),
    ('empty', 'huggingface', 'holds no model.safetensors'),
    ('empty', 'open_clip', 'holds no open_clip_model.safetensors'),
    ('other', 'timm', r"'other' holds no model.safe.*, but a.safe.*the file"),
    ('pickles', None, r"'pickles/pytorch_model.bin' is a pickle.*torch.load"),
  ],
)
def test_what_is_not_there_is_a_user_error(
  given, library, message, tmp_path, monkeypatch
):
  monkeypatch.chdir(tmp_path)
  _folder(tmp_path / 'empty')
  _folder(tmp_path / 'other', 'a.safetensors', 'pytorch_model.bin')
  _folder(tmp_path / 'pickles', 'pytorch_model.bin')
  with pytest.raises(UserError, match=message):
    model_folder.find(given, library)


@pytest.mark.reference
def test_a_pickle_is_rewritten_by_the_command_that_is_said(tmp_path):
  torch = pytest.importorskip('torch')
  path = tmp_path / 'pytorch_model.bin'
  shared = torch.arange(3.0)
  torch.save({'state_dict': {'a': shared, 'b': shared}}, path)
  with pytest.raises(UserError) as error:
    model_folder.refuse_pickle(path)
  _, *command = shlex.split(str(error.value).partition('that: ')[2])
  subprocess.run([sys.executable, *command], check=True)
  found = safetensors_file.read(model_folder.find(str(tmp_path), None))
  for name in 'ab':
    np.testing.assert_array_equal(found[name], [0.0, 1.0, 2.0])
