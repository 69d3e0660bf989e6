"""Layouts of released files, made from timm models at random weights."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import errors, models
from jaxssl.models import positions
from jaxssl.weights import releases
from jaxssl.weights import timm as timm_weights
from tests.models import timm_reference

SIZE = 32
SHAPE = {'dim': 32, 'depth': 2, 'num_heads': 4}


@pytest.fixture(scope='module')
def timm_vit():
  from timm.models.vision_transformer import VisionTransformer
  import torch

  torch.manual_seed(0)
  model = VisionTransformer(
    img_size=SIZE,
    patch_size=8,
    embed_dim=32,
    depth=2,
    num_heads=4,
    num_classes=0,
  )
  with torch.no_grad():
    for tensor in model.state_dict().values():
      tensor.add_(0.1 * torch.randn_like(tensor))
  return model.eval()


def tensors_of(model):
  return {k: v.detach().numpy() for k, v in model.state_dict().items()}


def shapes_of(encoder):
  images = jax.ShapeDtypeStruct((1, SIZE, SIZE, 3), jnp.float32)
  return jax.eval_shape(encoder.init, jax.random.key(0), images)


def check_features(encoder, variables, model):
  import torch

  images = timm_reference.images(SIZE)
  ours, _ = encoder.apply(variables, images)
  with torch.no_grad():
    theirs = model(torch.from_numpy(images).permute(0, 3, 1, 2)).numpy()
  # float32 through two blocks, sums in another order.
  np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def with_prefix(prefix, tensors):
  return {prefix + name: tensor for name, tensor in tensors.items()}


@pytest.mark.reference
@pytest.mark.parametrize('prefix', ['', 'backbone.', 'module.backbone.'])
def test_dino(timm_vit, prefix):
  encoder = models.make_encoder('vit_ti8', **SHAPE)
  tensors = with_prefix(prefix, tensors_of(timm_vit))
  variables = releases.from_dino(tensors, shapes_of(encoder))
  check_features(encoder, variables, timm_vit)


@pytest.mark.reference
def test_dinos_full_checkpoint_holds_the_teacher(timm_vit):
  encoder = models.make_encoder('vit_ti8', **SHAPE)
  teacher = tensors_of(timm_vit)
  student = {name: tensor + 1 for name, tensor in teacher.items()}
  tensors = {
    **with_prefix('student.module.backbone.', student),
    **with_prefix('teacher.backbone.', teacher),
    'teacher.head.mlp.0.weight': np.zeros((2, 32), np.float32),
  }
  variables = releases.from_dino(tensors, shapes_of(encoder))
  check_features(encoder, variables, timm_vit)


@pytest.mark.reference
def test_moco_v3(timm_vit):
  import torch

  encoder = models.make_encoder('vit_ti8', position='sincos_moco', **SHAPE)
  fixed = positions.sincos_moco(4, 4, 32)
  table = np.concatenate([np.zeros((1, 32), np.float32), fixed])[None]
  with torch.no_grad():
    timm_vit.pos_embed.copy_(torch.from_numpy(table))
  trained = tensors_of(timm_vit)
  slow = {name: tensor + 1 for name, tensor in trained.items()}
  head = {'head.0.weight': np.zeros((8, 32), np.float32)}
  tensors = {
    **with_prefix('module.base_encoder.', trained | head),
    **with_prefix('module.momentum_encoder.', slow | head),
    'module.predictor.0.weight': np.zeros((8, 8), np.float32),
  }
  variables = releases.from_moco_v3(
    tensors, shapes_of(encoder), position='sincos_moco'
  )
  assert 'pos_embed' not in variables['params']
  check_features(encoder, variables, timm_vit)


def test_moco_v3_of_a_resnet():
  encoder = models.make_encoder('resnet50', width=0.0625)
  variables = timm_reference.random_variables(
    encoder, jnp.zeros((1, SIZE, SIZE, 3))
  )
  tensors = with_prefix('module.base_encoder.', timm_weights.to_timm(variables))
  tensors['module.base_encoder.fc.0.weight'] = np.zeros((8, 128), np.float32)
  tensors['module.base_encoder.bn1.num_batches_tracked'] = np.int64(1)
  found = releases.from_moco_v3(tensors, shapes_of(encoder), position='none')
  chex.assert_trees_all_equal(found, variables)


def test_other_positions_are_told():
  encoder = models.make_encoder('vit_ti8', position='sincos_mae', **SHAPE)
  variables = timm_reference.random_variables(
    encoder, jnp.zeros((1, SIZE, SIZE, 3))
  )
  tensors = timm_weights.to_timm(variables)
  fixed = positions.sincos_moco(4, 4, 32)
  tensors['pos_embed'] = np.concatenate([np.zeros_like(fixed[:1]), fixed])[None]
  with pytest.raises(errors.UserError, match='pos_embed is not used'):
    releases.from_moco_v3(
      with_prefix('module.base_encoder.', tensors),
      shapes_of(encoder),
      position='sincos_mae',
    )


def test_a_file_of_another_layout_is_told():
  with pytest.raises(errors.UserError, match=r'module\.base_encoder'):
    releases.from_moco_v3({'cls_token': np.zeros(3)}, {}, position='none')
