import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import errors, models
from jaxssl.models import positions
from jaxssl.weights import huggingface, safetensors_file
from tests.models import timm_reference, transformers_reference

SIZE = transformers_reference.SIZE
TINY = {'dim': 32, 'depth': 2, 'num_heads': 4}
# Names of transformers 5 and of the checkpoints before it.
OLD_NAMES = (
  (r'\.attention\.([qkv])_proj\.', r'.attention.attention.\1.'),
  (r'\.attention\.q\.', '.attention.query.'),
  (r'\.attention\.k\.', '.attention.key.'),
  (r'\.attention\.v\.', '.attention.value.'),
  (r'\.attention\.o_proj\.', '.attention.output.dense.'),
  (r'\.mlp\.fc1\.', '.intermediate.dense.'),
  (r'\.mlp\.fc2\.', '.output.dense.'),
  (r'^(\w+)\.layers\.', r'\1.encoder.layer.'),
  (r'\.shared_position_bias\.', '.encoder.relative_position_bias.'),
)


def _old_names(tensors):
  renamed = {}
  for name, tensor in tensors.items():
    for pattern, replacement in OLD_NAMES:
      name = re.sub(pattern, replacement, name)
    renamed[name] = tensor
  return renamed


def _mae():
  model = transformers_reference.vit_mae(mask_ratio=0.0)
  encoder = models.make_encoder('vit_ti8', position='sincos_mae', **TINY)
  return model, model.vit, encoder


def _beit():
  model = transformers_reference.beit(16, use_mean_pooling=False)
  model.layernorm.weight.data.fill_(1)
  encoder = models.make_encoder(
    'vit_ti8',
    position='relative',
    layer_scale=0.1,
    use_mask_token=True,
    **TINY,
  )
  return model.beit, model.beit, encoder


@pytest.mark.reference
@pytest.mark.parametrize('naming', ['new', 'old'])
@pytest.mark.parametrize('family', [_mae, _beit])
def test_tokens_equal_transformers_through_a_file(family, naming, tmp_path):
  import torch

  model, trunk, encoder = family()
  tensors = transformers_reference.tensors(model)
  if family is _beit:
    tensors = {f'beit.{name}': tensor for name, tensor in tensors.items()}
  tensors = _old_names(tensors) if naming == 'old' else tensors
  path = tmp_path / 'model.safetensors'
  safetensors_file.write(path, tensors)
  images = timm_reference.images(SIZE)
  shapes = jax.eval_shape(encoder.init, jax.random.key(0), images)
  variables = huggingface.from_huggingface(
    safetensors_file.read(path), shapes, position=encoder.position
  )
  # Without masking, in order: the noise grows along the patches.
  noise = {'noise': torch.arange(16.0).expand(2, 16)} if family is _mae else {}
  with torch.no_grad():
    theirs = trunk(timm_reference.to_torch(images), **noise).last_hidden_state
  _, out = jax.jit(encoder.apply)(variables, images)
  assert timm_reference.relative_error(out['encoded'], theirs) < 1e-5


def _tensors():
  """The least that a one-block encoder needs, by the checkpoints' names."""
  encoder = models.make_encoder(
    'vit_ti8', position='sincos_mae', dim=8, depth=1, num_heads=2
  )
  block = 'vit.encoder.layer.0.'
  shapes = {
    'vit.embeddings.cls_token': (1, 1, 8),
    'vit.embeddings.patch_embeddings.projection.weight': (8, 3, 8, 8),
    'vit.embeddings.patch_embeddings.projection.bias': (8,),
    **{
      f'{block}attention.attention.{part}.{kind}': shape
      for part in ('query', 'key', 'value')
      for kind, shape in (('weight', (8, 8)), ('bias', (8,)))
    },
    f'{block}attention.output.dense.weight': (8, 8),
    f'{block}attention.output.dense.bias': (8,),
    f'{block}intermediate.dense.weight': (32, 8),
    f'{block}intermediate.dense.bias': (32,),
    f'{block}output.dense.weight': (8, 32),
    f'{block}output.dense.bias': (8,),
    **{
      f'{name}.{kind}': (8,)
      for name in (
        f'{block}layernorm_before',
        f'{block}layernorm_after',
        'vit.layernorm',
      )
      for kind in ('weight', 'bias')
    },
  }
  tensors = {n: np.zeros(shape, np.float32) for n, shape in shapes.items()}
  abstract = jax.eval_shape(
    encoder.init, jax.random.key(0), jnp.zeros((1, 32, 32, 3))
  )
  return tensors, abstract


def _load(tensors, abstract):
  return huggingface.from_huggingface(tensors, abstract, position='sincos_mae')


def _table():
  table = np.zeros((1, 17, 8), np.float32)
  table[0, 1:] = positions.sincos_mae(4, 4, 8)
  return table


def test_what_is_not_the_encoders_is_ignored():
  tensors, abstract = _tensors()
  extra = {
    'decoder.mask_token': np.zeros(3, np.float32),
    'vit.pooler.dense.bias': np.zeros(3, np.float32),
    'classifier.bias': np.zeros(3, np.float32),
    'vit.embeddings.position_embeddings': _table(),
  }
  jax.tree.map(
    np.testing.assert_array_equal,
    _load(tensors | extra, abstract),
    _load(tensors, abstract),
  )


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    (
      {'vit.embeddings.position_embeddings': 1 + _table()},
      'pos_embed is not used',
    ),
    ({'vit.layernorm.weight': np.zeros(9, np.float32)}, 'norm.weight has'),
    ({'vit.extra': np.zeros(1, np.float32)}, 'extra is not used'),
    ({'layernorm.weight': np.zeros(8, np.float32)}, 'two tensors are both'),
  ],
)
def test_tensors_that_do_not_fit_are_user_errors(change, message):
  tensors, abstract = _tensors()
  with pytest.raises(errors.UserError, match=message):
    _load(tensors | change, abstract)


def test_an_incomplete_attention_is_a_user_error():
  tensors, abstract = _tensors()
  del tensors['vit.encoder.layer.0.attention.attention.key.weight']
  with pytest.raises(errors.UserError, match=r'attn\.qkv\.weight is missing'):
    _load(tensors, abstract)
