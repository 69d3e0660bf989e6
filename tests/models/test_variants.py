import jax
import jax.numpy as jnp
import pytest

from jaxssl import errors, models


def _num_parameters(name):
  encoder = models.make_encoder(name)
  shapes = jax.eval_shape(
    encoder.init, jax.random.key(0), jnp.zeros((1, 224, 224, 3))
  )
  return sum(leaf.size for leaf in jax.tree.leaves(shapes['params']))


# torchvision's counts without the classifier of 1000 classes.
@pytest.mark.parametrize(
  ('name', 'with_classifier', 'width'),
  [
    ('resnet18', 11_689_512, 512),
    ('resnet34', 21_797_672, 512),
    ('resnet50', 25_557_032, 2048),
    ('resnet101', 44_549_160, 2048),
    ('resnet152', 60_192_808, 2048),
  ],
)
def test_resnets_have_torchvisions_size(name, with_classifier, width):
  assert _num_parameters(name) == with_classifier - 1000 * (width + 1)


# timm's counts of vit_{huge,giant}_patch14_224 without a classifier.
@pytest.mark.parametrize(
  ('name', 'count'), [('vit_h14', 630_764_800), ('vit_g14', 1_011_202_432)]
)
def test_large_vits_have_timms_size(name, count):
  assert _num_parameters(name) == count


@pytest.mark.parametrize(
  ('name', 'size'),
  [
    ('vit_ti7', (192, 12, 3, 7)),
    ('vit_s16', (384, 12, 6, 16)),
    ('vit_b32', (768, 12, 12, 32)),
    ('vit_l14', (1024, 24, 16, 14)),
    ('vit_h14', (1280, 32, 16, 14)),
  ],
)
def test_vit_names_are_size_and_patch(name, size):
  vit = models.make_encoder(name)
  assert (vit.dim, vit.depth, vit.num_heads, vit.patch_size) == size


def test_every_listed_name_makes_an_encoder():
  names = models.encoder_names()
  assert {'resnet18', 'resnet152', 'vit_ti4', 'vit_h14'} <= set(names)
  for name in names:
    models.make_encoder(name)


def test_overrides_replace_attributes():
  vit = models.make_encoder('vit_s16', depth=3, dtype='bfloat16')
  assert (vit.depth, vit.num_heads) == (3, 6)
  assert vit.dtype == jnp.bfloat16


@pytest.mark.parametrize(
  ('name', 'overrides', 'message'),
  [
    ('resnet20', {}, "did you mean 'resnet"),
    ('vit_s', {}, "did you mean 'vit_s"),
    ('vit_s0', {}, 'unknown encoder'),
    ('vit_x16', {}, 'unknown encoder'),
    (None, {}, 'unknown encoder'),
    ('resnet18', {'dept': 2}, "no option 'dept'.*depth"),
    ('vit_s16', {'parent': None}, "no option 'parent'"),
    ('vit_s16', {'dtype': 'bf16'}, 'unknown dtype'),
  ],
)
def test_mistakes_are_user_errors(name, overrides, message):
  with pytest.raises(errors.UserError, match=message):
    models.make_encoder(name, **overrides)
