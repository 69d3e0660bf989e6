"""`jaxssl export` and `jaxssl import`."""

import json

import chex
import jax
import numpy as np
import pytest

from jaxssl.weights import safetensors_file
from jaxssl.weights.exported import load_encoder
from tests.commands import runs


def _export(run, kind, out, *more):
  command = ('export', kind, f'--workdir={run}', f'--out={out}')
  assert runs.jaxssl(*command, *more) == 0


def test_safetensors_is_an_encoder_to_load(finished_run, tmp_path):
  _export(finished_run, 'safetensors', tmp_path / 'out')
  chex.assert_trees_all_equal(
    load_encoder(tmp_path / 'out').variables,
    load_encoder(finished_run / 'export').variables,
  )


def test_older_checkpoint(finished_run, tmp_path):
  _export(finished_run, 'safetensors', tmp_path / 'out', '--step=2')
  assert load_encoder(tmp_path / 'out').step == 2


def test_timm_file_comes_back_as_the_same_encoder(finished_run, tmp_path):
  _export(finished_run, 'timm', tmp_path / 'out')
  encoder = [
    f'--config.encoder.{name}' for name in ('dim=16', 'depth=1', 'num_heads=2')
  ]
  assert (
    runs.jaxssl(
      'import',
      'timm',
      tmp_path / 'out' / 'model.safetensors',
      '--encoder=vit_ti8',
      '--image_size=32',
      f'--workdir={tmp_path / "run"}',
      *encoder,
    )
    == 0
  )
  chex.assert_trees_all_equal(
    load_encoder(tmp_path / 'run' / 'export').variables,
    load_encoder(finished_run / 'export').variables,
  )


def test_a_trained_image_encoder_goes_to_transformers_and_back(
  finished_run, tmp_path
):
  _export(finished_run, 'huggingface', tmp_path / 'out')
  run = f'--workdir={tmp_path / "run"}'
  assert runs.jaxssl('import', 'huggingface', tmp_path / 'out', run) == 0
  chex.assert_trees_all_equal(
    load_encoder(tmp_path / 'run' / 'export').variables,
    load_encoder(finished_run / 'export').variables,
  )


def test_timm_config_names_size_and_normalisation(finished_run, tmp_path):
  _export(finished_run, 'timm', tmp_path / 'out')
  info = json.loads((tmp_path / 'out' / 'config.json').read_text())
  exported = load_encoder(finished_run / 'export')
  assert info['pretrained_cfg']['input_size'] == [3, 32, 32]
  assert tuple(info['pretrained_cfg']['mean']) == exported.mean
  assert tuple(info['pretrained_cfg']['std']) == exported.std


@pytest.mark.reference
def test_timm_loads_it_and_gives_the_same_features(finished_run, tmp_path):
  import timm
  import torch

  _export(finished_run, 'timm', tmp_path / 'out')
  theirs = timm.models.VisionTransformer(
    img_size=32,
    patch_size=8,
    embed_dim=16,
    depth=1,
    num_heads=2,
    num_classes=0,
  )
  tensors = safetensors_file.read(tmp_path / 'out' / 'model.safetensors')
  theirs.load_state_dict(
    {name: torch.from_numpy(np.array(t)) for name, t in tensors.items()},
    strict=True,
  )
  exported = load_encoder(finished_run / 'export')
  images = np.asarray(jax.random.normal(jax.random.key(0), (2, 32, 32, 3)))
  ours, _ = exported.encoder.apply(exported.variables, images)
  with torch.no_grad():
    wanted = theirs.eval()(torch.tensor(images.transpose(0, 3, 1, 2)))
  # float32 sums in another order.
  np.testing.assert_allclose(ours, wanted.numpy(), rtol=1e-4, atol=1e-5)


def test_imported_encoder_is_evaluated_on_given_data(finished_run, tmp_path):
  _export(finished_run, 'timm', tmp_path / 'out')
  run = tmp_path / 'run'
  file = tmp_path / 'out' / 'model.safetensors'
  options = ('dim=16', 'depth=1', 'num_heads=2')
  command = ['import', 'timm', file, '--encoder=vit_ti8', '--image_size=32']
  command += [f'--config.encoder.{option}' for option in options]
  assert runs.jaxssl(*command, f'--workdir={run}') == 0
  arguments = (f'--workdir={run}', '--data=digits', '--limit=64')
  assert runs.jaxssl('eval', 'knn', *arguments) == 0
  assert (run / 'results' / 'knn-v1-digits.json').is_file()
