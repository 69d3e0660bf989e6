"""First layers for other channels than RGB, beside timm's, out and back."""

import dataclasses
import json
import logging

import chex
import jax
from jax import export
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import models
from jaxssl.augment.preprocessing import usual
from jaxssl.errors import UserError
from jaxssl.weights import (
  huggingface_folder,
  safetensors_file,
  stablehlo,
  timm,
  timm_model,
)
from jaxssl.weights.exported import ExportedEncoder, load_encoder, save_encoder
from jaxssl.weights.input_channels import adapt_encoder, adapt_kernel
from tests.commands import runs
from tests.models import timm_reference

SIZE = 32
VIT = {'dim': 32, 'depth': 2, 'num_heads': 4}
CONVNEXT = {'blocks': (1, 2, 1, 1), 'width': 16}
# Ours -> timm's, with what both are told.
ENCODERS = {
  'vit_s8': (
    VIT,
    'vit_base_patch16_224',
    dict(img_size=SIZE, patch_size=8, embed_dim=32, depth=2, num_heads=4),
  ),
  'resnet18': ({}, 'resnet18', {}),
  'convnext_t': (
    CONVNEXT,
    'convnext_tiny',
    dict(depths=[1, 2, 1, 1], dims=[16, 32, 64, 128]),
  ),
}
FIRST = {
  'vit_s8': ('params', 'patch_embed', 'proj', 'kernel'),
  'resnet18': ('params', 'conv1', 'kernel'),
  'convnext_t': ('params', 'stem_0', 'kernel'),
}


def _rule(channels=5):
  return usual(
    SIZE,
    channels=channels,
    value_range=(0.0, 4095.0),
    mean=tuple(0.1 * n for n in range(1, channels + 1)),
    std=(0.2,) * channels,
  )


def _exported(name, channels=3):
  section = ENCODERS[name][0]
  encoder = models.make_encoder(name, **section)
  variables = timm_reference.random_variables(
    encoder, jnp.zeros((1, SIZE, SIZE, channels))
  )
  return ExportedEncoder(
    section={'name': name, **section},
    variables=jax.tree.map(np.asarray, variables),
    preprocessing=usual(SIZE) if channels == 3 else _rule(channels),
    step=1,
    config_hash='x',
  )


def _images(channels):
  rng = np.random.default_rng(channels)
  return rng.standard_normal((2, SIZE, SIZE, channels), np.float32)


def _error(exported, model, channels):
  """Returns the relative error of features of timm's model."""
  import torch

  x = _images(channels)
  with torch.no_grad():
    theirs = model.eval()(timm_reference.to_torch(x)).numpy()
  ours, _ = jax.jit(exported.encoder.apply)(exported.variables, x)
  return timm_reference.relative_error(ours, theirs)


@pytest.mark.reference
@pytest.mark.parametrize('channels', [1, 2, 4, 5, 12])
def test_kernels_are_those_of_timm(channels):
  from timm.models._manipulate import adapt_input_conv
  import torch

  kernel = np.random.default_rng(0).standard_normal((4, 4, 3, 8), np.float32)
  stored = torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy())
  wanted = adapt_input_conv(channels, stored).numpy().transpose(2, 3, 1, 0)
  np.testing.assert_array_equal(adapt_kernel(kernel, channels), wanted)


@pytest.mark.reference
@pytest.mark.parametrize(('name', 'channels'), [
  ('vit_s8', 5), ('resnet18', 5), ('convnext_t', 5), ('vit_s8', 1),
])  # fmt: skip
def test_an_adapted_encoder_is_timms(name, channels, tmp_path):
  """timm adapts weights of a file itself where `in_chans` differs."""
  import timm as timm_library

  _, theirs, arguments = ENCODERS[name]
  model = timm_reference.make(theirs, **arguments)
  tensors = {k: v.numpy() for k, v in model.state_dict().items()}
  safetensors_file.write(tmp_path / 'w.safetensors', tensors)
  own = _exported(name)
  own = dataclasses.replace(
    own, variables=timm.from_timm(tensors, own.variables)
  )
  adapted = adapt_encoder(own, _rule(channels))
  model = timm_library.create_model(
    theirs,
    pretrained=True,
    pretrained_cfg_overlay={
      'file': str(tmp_path / 'w.safetensors'), 'num_classes': 0
    },
    in_chans=channels,
    num_classes=0,
    **arguments,
  )  # fmt: skip
  # Of float32 sums in another order.
  assert _error(adapted, model, channels) < 1e-5


@pytest.mark.parametrize('name', ENCODERS)
def test_only_the_first_layer_changes_and_its_sum_stays(name, caplog):
  exported = _exported(name)
  with caplog.at_level(logging.INFO):
    adapted = adapt_encoder(exported, _rule())
  path = FIRST[name]
  assert f'5 channel(s): {".".join(path[1:])} adapted from 3' in caplog.text
  flat, wanted = (
    {k: v for k, v in _flat(e.variables).items()} for e in (adapted, exported)
  )
  kernel, old = flat.pop(path), wanted.pop(path)
  chex.assert_trees_all_equal(flat, wanted)
  assert kernel.shape[2] == 5
  # Red and green come twice, blue once.
  weights = np.array([2, 2, 1], np.float32)[:, None] * 3 / 5
  np.testing.assert_allclose(kernel.sum(2), (old * weights).sum(2), atol=1e-5)


def _flat(variables):
  return {
    tuple(key.key for key in path): leaf
    for path, leaf in jax.tree_util.tree_leaves_with_path(variables)
  }


def test_other_channels_than_those_of_rgb_are_not_adapted():
  exported = _exported('vit_s8', channels=5)
  assert adapt_encoder(exported, _rule(5)) is exported
  with pytest.raises(UserError, match='weights are for pictures of 5 channels'):
    adapt_encoder(exported, _rule(4))


def test_an_export_keeps_channels_and_range(tmp_path):
  exported = _exported('vit_s8', channels=5)
  save_encoder(tmp_path, exported)
  found = load_encoder(tmp_path)
  assert found.preprocessing == exported.preprocessing
  chex.assert_trees_all_equal(found.variables, exported.variables)


@pytest.mark.reference
@pytest.mark.parametrize('name', ENCODERS)
def test_timm_makes_the_model_of_five_channels(name, tmp_path):
  import timm as timm_library

  exported = _exported(name, channels=5)
  assert timm_model.save(tmp_path, exported)
  model = timm_library.create_model(f'local-dir:{tmp_path}', pretrained=True)
  assert model.pretrained_cfg['input_size'] == (5, SIZE, SIZE)
  assert _error(exported, model, 5) < 1e-5


def test_a_folder_of_timm_comes_back(tmp_path):
  exported = _exported('vit_s8', channels=5)
  timm_model.save(tmp_path / 'out', exported)
  code = runs.jaxssl(
    'import', 'timm', tmp_path / 'out', f'--workdir={tmp_path / "run"}'
  )
  assert code == 0
  found = load_encoder(tmp_path / 'run' / 'export')
  chex.assert_trees_all_equal(found.variables, exported.variables)
  # timm has no word for the range of values.
  wanted = dataclasses.replace(exported.preprocessing, value_range=None)
  assert found.preprocessing == wanted


def test_weights_of_rgb_are_imported_for_five_channels(tmp_path):
  exported = _exported('vit_s8')
  timm_model.save(tmp_path / 'out', exported)
  code = runs.jaxssl(
    'import',
    'timm',
    tmp_path / 'out',
    f'--workdir={tmp_path / "run"}',
    *('--mean', *'12345', '--std', *'11111', '--value_range', '0', '4095'),
  )
  assert code == 0
  found = load_encoder(tmp_path / 'run' / 'export')
  adapted = adapt_encoder(exported, _rule())
  chex.assert_trees_all_equal(found.variables, adapted.variables)
  assert found.mean == (1.0, 2.0, 3.0, 4.0, 5.0)
  assert found.preprocessing.value_range == (0.0, 4095.0)


def test_a_program_takes_16_bits(tmp_path):
  # `save` compares it with the encoder, on noise.
  assert stablehlo.save(tmp_path, _exported('vit_s8', channels=5)) < 1e-6
  content = (tmp_path / stablehlo.FILE).read_bytes()
  pixels = export.deserialize(bytearray(content)).in_avals[-1]
  assert (pixels.dtype, pixels.shape[1:]) == (np.uint16, (SIZE, SIZE, 5))


@pytest.mark.reference
def test_transformers_makes_the_model_of_five_channels(tmp_path):
  import torch
  import transformers

  exported = _exported('vit_s8', channels=5)
  huggingface_folder.save(tmp_path, exported)
  config = json.loads((tmp_path / 'config.json').read_text())
  assert config['num_channels'] == 5
  model = transformers.AutoModel.from_pretrained(tmp_path).eval()
  x = _images(5)
  with torch.no_grad():
    theirs = model(timm_reference.to_torch(x)).last_hidden_state[:, 0].numpy()
  ours, _ = jax.jit(exported.encoder.apply)(exported.variables, x)
  assert timm_reference.relative_error(ours, theirs) < 1e-5
  code = runs.jaxssl(
    'import', 'huggingface', tmp_path, f'--workdir={tmp_path / "run"}'
  )
  assert code == 0
  found = load_encoder(tmp_path / 'run' / 'export')
  chex.assert_trees_all_equal(found.variables, exported.variables)
  assert found.preprocessing.channels == 5
