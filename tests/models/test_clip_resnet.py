import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import errors, models
from jaxssl.models.clip_resnet import mean_pool
from jaxssl.weights import timm as timm_weights
from tests.models import timm_reference

TINY = {'blocks': (1, 1, 1, 1), 'width': 4, 'out_dim': 6}


def _timm_model(encoder, variables, size):
  """The same weights in timm's model, through OpenAI's names."""
  from timm.models import byobnet
  import torch

  stages = tuple(
    byobnet.ByoBlockCfg(
      type='bottle', d=d, c=encoder.width * 4 * 2**i, s=min(i, 1) + 1, br=0.25
    )
    for i, d in enumerate(encoder.blocks)
  )
  width = encoder.width
  model = byobnet.ByobNet(
    byobnet.ByoModelCfg(
      blocks=stages,
      stem_chs=(width // 2, width // 2, width),
      stem_type='',
      stem_pool='avg2',
      downsample='avg',
      aa_layer='avg',
      head_type='attn_abs',
    ),
    num_classes=encoder.out_dim,
    img_size=size,
  )
  tensors = {
    f'visual.{name}': torch.from_numpy(tensor.copy())
    for name, tensor in timm_weights.to_timm(variables).items()
  }
  positions = tensors.pop('visual.attnpool.pos_embed')
  tensors['visual.attnpool.positional_embedding'] = positions[0]
  converted = byobnet.checkpoint_filter_fn(tensors, model)
  missing, unexpected = model.load_state_dict(converted, strict=False)
  assert not unexpected
  assert all(name.endswith('num_batches_tracked') for name in missing)
  return model.eval()


@pytest.mark.reference
def test_features_equal_timm():
  encoder = models.CLIPResNet(blocks=(1, 2, 1, 1), width=8, out_dim=6)
  x = timm_reference.images(64)
  variables = timm_reference.random_variables(encoder, jnp.asarray(x))
  model = _timm_model(encoder, variables, 64)
  theirs = model(timm_reference.to_torch(x)).detach()
  features, _ = jax.jit(encoder.apply)(variables, x)
  # float32 on both sides through 15 convolutions.
  assert timm_reference.relative_error(features, theirs) < 1e-4


# openai/CLIP's counts of the image towers.
@pytest.mark.parametrize(
  ('name', 'size', 'count'),
  [
    ('clip_resnet50', 224, 38_316_896),
    ('clip_resnet101', 224, 56_259_936),
    ('clip_resnet50x4', 288, 87_137_080),
    ('clip_vit_b32', 224, 87_849_216 - 768 * 512),
    ('clip_vit_l14', 336, 304_293_888 - 1024 * 768),
  ],
)
def test_towers_have_the_size_of_the_published_ones(name, size, count):
  encoder = models.make_encoder(name)
  shapes = jax.eval_shape(
    encoder.init, jax.random.key(0), jnp.zeros((1, size, size, 3))
  )
  assert sum(x.size for x in jax.tree.leaves(shapes['params'])) == count


def test_other_sizes_interpolate_positions():
  encoder = models.CLIPResNet(**TINY)
  x = jnp.asarray(timm_reference.images(64))
  variables = timm_reference.random_variables(encoder, x)
  features, out = jax.jit(encoder.apply)(variables, jnp.zeros((2, 96, 64, 3)))
  assert features.shape == (2, 6)
  assert out['stage4'].shape == (2, 3, 2, 128)


def test_mean_pool_leaves_a_remainder_out():
  x = jnp.arange(15.0).reshape(1, 3, 5, 1)
  expected = np.array([[3.0, 5.0]]).reshape(1, 1, 2, 1)
  np.testing.assert_array_equal(mean_pool(x, 2), expected)


@pytest.mark.parametrize(
  ('options', 'shape', 'message'),
  [
    ({'width': 5}, (1, 32, 32, 3), 'even width'),
    ({}, (1, 48, 32, 3), 'divisible by 32'),
    ({}, (1, 64, 32, 3), 'square at initialisation'),
  ],
)
def test_impossible_values_are_user_errors(options, shape, message):
  with pytest.raises(errors.UserError, match=message):
    jax.eval_shape(
      models.CLIPResNet(**TINY | options).init,
      jax.random.key(0),
      jnp.zeros(shape),
    )
