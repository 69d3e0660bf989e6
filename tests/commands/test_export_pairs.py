"""`jaxssl export huggingface`, and `jaxssl import` of its files."""

import json
import shutil

import chex
import jax
import numpy as np
import pytest

from jaxssl import build
from jaxssl.text import make_tokenizer
from jaxssl.train.workdir import Workdir
from jaxssl.weights import huggingface_two_towers, safetensors_file
from jaxssl.weights.exported import load_encoder
from tests.commands import runs
from tests.commands.harmed_export import with_one_nan
from tests.models import timm_reference
from tests.weights import clip_towers

# Other than CLIP's, so that the exported config must tell.
ACTS = (
  '--config.encoder.act=gelu',
  '--config.encoder.antialias=false',
  '--config.text_encoder.act=gelu_tanh',
  '--config.text_encoder.epsilon=1e-3',
)


METHODS = {'clip': clip_towers.clip(), 'siglip': clip_towers.siglip()}
ARGUMENTS = {
  'clip': clip_towers.arguments(),
  'siglip': clip_towers.siglip_arguments(),
}


def _import(name, file, workdir, *arguments):
  return runs.jaxssl('import', name, file, f'--workdir={workdir}', *arguments)


def _towers(workdir):
  exported = load_encoder(Workdir(workdir).export)
  return {'encoder': exported.variables, **exported.towers}


def _exported(kind, folder):
  """Returns a workdir of random towers, and the folder made of it."""
  file, workdir = folder / 'random.safetensors', folder / 'run'
  method = METHODS[kind]
  towers = clip_towers.random(method)
  safetensors_file.write(file, huggingface_two_towers.tensors(towers))
  arguments = (*ARGUMENTS[kind], *ACTS)
  assert _import('huggingface', file, workdir, *arguments) == 0
  chex.assert_trees_all_equal(_towers(workdir), towers)
  out = folder / 'out'
  command = ('export', 'huggingface', f'--workdir={workdir}', f'--out={out}')
  assert runs.jaxssl(*command) == 0
  return workdir, out


@pytest.fixture(scope='module')
def exported(tmp_path_factory):
  """A workdir of a random CLIP, and the folder made of it."""
  return _exported('clip', tmp_path_factory.mktemp('clip'))


@pytest.fixture(scope='module')
def exported_siglip(tmp_path_factory):
  return _exported('siglip', tmp_path_factory.mktemp('siglip'))


@pytest.fixture(params=['clip', 'siglip'])
def pair(request):
  """The kind, and what `_exported` returns."""
  suffix = {'clip': '', 'siglip': '_siglip'}[request.param]
  return request.param, *request.getfixturevalue(f'exported{suffix}')


@pytest.mark.reference
def test_transformers_loads_it_and_gives_the_same_logits(pair):
  import torch
  import transformers

  kind, workdir, out = pair
  name = {'clip': 'CLIPModel', 'siglip': 'SiglipModel'}[kind]
  model, info = getattr(transformers, name).from_pretrained(
    out, output_loading_info=True
  )
  assert not any(info.values())
  method = build.build_method(Workdir(workdir).read_config())
  towers = _towers(workdir)
  images, text = timm_reference.images(clip_towers.SIZE, 3), clip_towers.text()
  with torch.no_grad():
    theirs = model.eval()(
      input_ids=torch.from_numpy(text).long(),
      pixel_values=timm_reference.to_torch(images),
    )
  x = jax.jit(method.encode_image)(towers, images)
  y = jax.jit(method.encode_text)(towers, text)
  logits = towers['logits']['params']
  scale, bias = np.exp(logits['scale']), logits.get('bias', 0.0)
  # float32 on both sides, two blocks.
  np.testing.assert_allclose(x, theirs.image_embeds, atol=1e-4)
  np.testing.assert_allclose(y, theirs.text_embeds, atol=1e-4)
  np.testing.assert_allclose(
    scale * x @ y.T + bias, theirs.logits_per_image, atol=1e-4
  )


def test_it_comes_back_to_the_bit(pair, tmp_path):
  kind, workdir, out = pair
  again = tmp_path / 'run'
  assert _import('huggingface', out, again, *ARGUMENTS[kind]) == 0
  chex.assert_trees_all_equal(_towers(again), _towers(workdir))
  # The folder says which activations and epsilon are its own.
  before, after = (Workdir(w).read_config() for w in (workdir, again))
  for section in ('encoder', 'text_encoder', 'head', 'method'):
    assert after[section] == before[section]


def test_the_class_that_loads_it_is_printed(pair, tmp_path, capsys):
  kind, workdir, _ = pair
  out = tmp_path / 'out'
  command = ('export', 'huggingface', f'--workdir={workdir}', f'--out={out}')
  assert runs.jaxssl(*command) == 0
  name = {'clip': 'CLIPModel', 'siglip': 'SiglipModel'}[kind]
  assert f'transformers.{name}.from_pretrained(' in capsys.readouterr().out


def test_imported_towers_keep_their_tokenizer(exported):
  workdir, _ = exported
  kept = make_tokenizer(
    tokenizer=str(Workdir(workdir).tokenizer), length=clip_towers.LENGTH
  )
  np.testing.assert_array_equal(
    kept.encode(['a red cup']), clip_towers.TOKENIZER.encode(['a red cup'])
  )


def test_bytes_are_not_taken_for_the_tokenizer_of_a_tower(tmp_path, capsys):
  method = clip_towers.clip(text_encoder={'vocab_size': 300})
  file = tmp_path / 'random.safetensors'
  towers = clip_towers.random(method)
  safetensors_file.write(file, huggingface_two_towers.tensors(towers))
  arguments = (file, tmp_path / 'run', *clip_towers.arguments())
  assert _import('huggingface', *arguments) == 2
  message = capsys.readouterr().err
  assert 'knows 300 tokens, and without --tokenizer a token is a' in message
  arguments = (*arguments, '--tokenizer=bytes')
  assert _import('huggingface', *arguments) == 0


def test_the_card_of_imported_towers_tells_of_no_training(exported, tmp_path):
  workdir, _ = exported
  out = tmp_path / 'out'
  command = ('push', 'me/x', f'--workdir={workdir}', '--licence=mit')
  assert runs.jaxssl(*command, f'--out={out}') == 0
  card = (out / 'README.md').read_text()
  assert 'imported from released weights' in card
  assert '## Training' not in card


def test_the_images_it_wants_are_described(pair):
  kind, workdir, out = pair
  info = json.loads((out / 'preprocessor_config.json').read_text())
  encoder = load_encoder(Workdir(workdir).export)
  assert tuple(info['image_mean']) == encoder.mean
  assert tuple(info['image_std']) == encoder.std
  side = clip_towers.SIZE
  sizes = {
    'clip': {'shortest_edge': side},
    'siglip': {'height': side, 'width': side},
  }
  assert info['size'] == sizes[kind]


def test_a_run_without_weights_is_refused(tmp_path, capsys):
  workdir, out = Workdir(tmp_path / 'run'), tmp_path / 'out'
  workdir.path.mkdir()
  config = {'method': {'name': 'simclr'}, 'data': {}}
  workdir.config_path.write_text(json.dumps(config))
  command = ('export', 'huggingface', f'--workdir={workdir.path}')
  assert runs.jaxssl(*command, f'--out={out}') == 2
  assert 'no encoder in' in capsys.readouterr().err
  assert not out.exists()


@pytest.mark.parametrize('name', ['huggingface', 'safetensors'])
def test_weights_that_are_not_finite_stay_here(
  name, exported, tmp_path, capsys
):
  workdir = shutil.copytree(exported[0], tmp_path / 'run')
  with_one_nan(workdir / 'export')
  out = tmp_path / 'out'
  assert (
    runs.jaxssl('export', name, f'--workdir={workdir}', f'--out={out}') == 2
  )
  assert 'weights are not finite' in capsys.readouterr().err
  assert not out.exists()


def test_another_architecture_is_refused(exported, tmp_path, capsys):
  _, out = exported
  file, workdir = out / 'model.safetensors', tmp_path / 'run'
  arguments = (*clip_towers.arguments(), '--config.text_encoder.causal=false')
  assert _import('huggingface', file, workdir, *arguments) == 0
  target = tmp_path / 'out'
  command = ('export', 'huggingface', f'--workdir={workdir}')
  assert runs.jaxssl(*command, f'--out={target}') == 2
  assert 'text_encoder.causal is False' in capsys.readouterr().err
  assert not target.exists()
