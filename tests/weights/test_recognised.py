"""What is recognised from shapes, and what is left open."""

import jax
import numpy as np
import pytest

from jaxssl import models
from jaxssl.errors import UserError
from jaxssl.weights import recognised, timm
from tests.models import timm_reference

SIZE = 32


def _tensors(name, **changes):
  encoder = models.make_encoder(name, **changes)
  variables = timm_reference.random_variables(
    encoder, timm_reference.images(SIZE)
  )
  return encoder, timm.to_timm(variables)


def _found(tensors, sides=None, **told):
  return recognised.section_of(tensors, 'timm', told, sides)


TINY = {'dim': 32, 'depth': 2, 'num_heads': 4}


@pytest.mark.parametrize(
  ('name', 'changes', 'told'),
  [
    ('vit_ti8', {'depth': 1}, {}),
    ('vit_ti8', TINY, {'num_heads': 4}),
    ('vit_ti8', {'depth': 1, 'pool': 'avg'}, {}),
    ('dinov2_vit_s8', {'depth': 1, 'mlp_ratio': 3.7362}, {}),
    ('vit_s8', {'depth': 1, 'act': 'swiglu', 'num_registers': 4}, {}),
    ('siglip_vit_b8', {'depth': 1}, {'act': 'gelu_tanh'}),
    ('clip_vit_b8', {'depth': 1}, {'act': 'quick_gelu'}),
    ('dinov3_vit_hplus16', {'depth': 1, 'act': 'gelu'}, {}),
    ('resnet18', {}, {}),
    ('convnext_t', {'blocks': (1, 2, 1, 1), 'stem_size': 2}, {}),
    ('convnextv2_atto', {}, {}),
    ('convnext_t', {'blocks': (1, 1, 1, 1), 'epsilon': 0.1}, {'epsilon': 0.1}),
  ],
)
def test_the_section_makes_the_same_encoder(name, changes, told):
  encoder, tensors = _tensors(name, **changes)
  found = models.make_encoder(**_found(tensors, **told))
  shapes = timm_reference.random_variables(found, timm_reference.images(SIZE))
  variables = timm.from_timm(tensors, shapes)
  x = timm_reference.images(SIZE)
  np.testing.assert_allclose(
    jax.jit(found.apply)(variables, x)[0],
    jax.jit(encoder.apply)(variables, x)[0],
    atol=1e-5,
  )


@pytest.mark.parametrize('name', ['convnext_s', 'convnextv2_pico'])
def test_sizes_of_convnext_have_their_names(name):
  encoder = models.make_encoder(name)
  shapes = jax.eval_shape(
    encoder.init, jax.random.key(0), timm_reference.images(SIZE)
  )
  # Zeros without memory of their own.
  zeros = jax.tree.map(
    lambda x: np.broadcast_to(np.float32(0), x.shape), shapes
  )
  assert _found(timm.to_timm(zeros))['name'] == name


@pytest.mark.parametrize(
  ('name', 'changes', 'message'),
  [
    ('vit_ti8', {'dim': 48, 'depth': 1, 'num_heads': 4}, 'num_heads=12'),
    ('siglip_vit_b8', {'depth': 1}, 'act=gelu'),
    ('clip_vit_b8', {'depth': 1}, 'act=gelu'),
  ],
)
def test_what_is_open_is_asked_for(name, changes, message):
  _, tensors = _tensors(name, **changes)
  with pytest.raises(UserError, match=rf'--config\.encoder\.{message}'):
    _found(tensors)


def test_positions_that_fit_two_grids_are_asked_for():
  _, tensors = _tensors('vit_ti8', depth=1, num_registers=4)
  tensors['pos_embed'] = tensors['pos_embed'][:, :9]
  with pytest.raises(UserError, match='prefix_positions=true'):
    _found(tensors)
  assert _found(tensors, (16, 16))['prefix_positions']
  assert not _found(tensors, (24, 24))['prefix_positions']


@pytest.mark.parametrize(
  ('name', 'layout'),
  [
    ('blocks.input.w', 'dalle'),
    ('module.base_encoder.cls_token', 'moco_v3'),
    ('teacher.backbone.cls_token', 'dino'),
    ('visual.conv1.weight', 'open_clip'),
    ('patch_embed.proj.weight', 'timm'),
    ('layer1.0.conv1.weight', 'timm'),
    ('stages.0.blocks.0.conv_dw.weight', 'timm'),
    ('embeddings.cls_token', 'huggingface'),
    ('vision_model.embeddings.class_embedding', 'huggingface'),
  ],
)
def test_layouts_by_a_name(name, layout):
  assert recognised.layout_of({name: np.zeros(1)}) == layout


@pytest.mark.parametrize('names', [['a', 'b'], []])
def test_other_names_are_a_user_error(names):
  with pytest.raises(UserError, match='of no known layout'):
    recognised.layout_of(dict.fromkeys(names, np.zeros(1)))


def test_weights_of_something_else():
  with pytest.raises(UserError, match='name it with --encoder'):
    _found({'conv.weight': np.zeros((3, 3))})
  with pytest.raises(UserError, match='name it with --encoder'):
    recognised.section_of({}, 'dalle', {}, None)
