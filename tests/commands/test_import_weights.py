"""`jaxssl import` of weights that no workdir of ours has written."""

import chex
import jax
import jax.numpy as jnp

from jaxssl import models
from jaxssl.weights import safetensors_file, timm
from jaxssl.weights.exported import load_encoder
from tests.commands import runs
from tests.models import timm_reference
from tests.weights.dalle_tensors import to_dalle

SIZE = '--image_size=16'
OPTIONS = ('width=8', 'blocks_per_group=1', 'vocab_size=16')


def test_dalles_encoder_becomes_a_tokenizer(tmp_path):
  encoder = models.make_encoder(
    'dvae', width=8, blocks_per_group=1, vocab_size=16
  )
  variables = timm_reference.random_variables(
    encoder, jnp.zeros((1, 16, 16, 3))
  )
  path = tmp_path / 'encoder.safetensors'
  safetensors_file.write(path, to_dalle(variables))
  code = runs.jaxssl(
    'import',
    'dalle',
    path,
    '--encoder=dvae',
    '--image_size=16',
    f'--workdir={tmp_path / "run"}',
    *(f'--config.encoder.{option}' for option in OPTIONS),
  )
  assert code == 0
  exported = load_encoder(tmp_path / 'run' / 'export')
  chex.assert_trees_all_equal(exported.variables, variables)
  assert (exported.mean, exported.std) == ((0.0,) * 3, (1.0,) * 3)
  shapes = jax.eval_shape(
    lambda x: exported.encoder.apply(exported.variables, x)[1],
    jnp.zeros((2, 16, 16, 3)),
  )
  assert shapes['logits'].shape == (2, 2, 2, 16)


def test_weights_of_transformers_do_not_fit_a_resnet(tmp_path, capsys):
  path = tmp_path / 'model.safetensors'
  safetensors_file.write(path, {})
  code = runs.jaxssl(
    'import',
    'huggingface',
    path,
    '--encoder=resnet18',
    '--image_size=32',
    f'--workdir={tmp_path / "run"}',
  )
  assert code == 2
  assert 'another architecture' in capsys.readouterr().err


def _import_tiny_vit(tmp_path, layout, prefix, position, *more):
  encoder = models.make_encoder(
    'vit_ti8', dim=32, depth=1, num_heads=2, position=position
  )
  variables = timm_reference.random_variables(
    encoder, jnp.zeros((1, 16, 16, 3))
  )
  path = tmp_path / 'model.safetensors'
  tensors = timm.to_timm(variables)
  safetensors_file.write(path, {prefix + n: t for n, t in tensors.items()})
  code = runs.jaxssl(
    'import',
    layout,
    path,
    '--encoder=vit_ti8',
    '--config.encoder.dim=32',
    '--config.encoder.depth=1',
    '--config.encoder.num_heads=2',
    f'--config.encoder.position={position}',
    f'--workdir={tmp_path / "run"}',
    *more,
  )
  assert code == 0
  exported = load_encoder(tmp_path / 'run' / 'export')
  chex.assert_trees_all_equal(exported.variables, variables)
  assert exported.preprocessing.image_size == 16


def test_a_bare_file_tells_the_size_of_the_images_by_its_positions(tmp_path):
  _import_tiny_vit(tmp_path, 'timm', '', 'learned')


def test_layout_of_dino(tmp_path):
  _import_tiny_vit(tmp_path, 'dino', 'teacher.backbone.', 'learned')


def test_layout_of_moco_v3(tmp_path):
  _import_tiny_vit(
    tmp_path, 'moco_v3', 'module.base_encoder.', 'sincos_moco', SIZE
  )
