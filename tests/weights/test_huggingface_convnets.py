"""ResNets and ConvNeXts from and to transformers."""

import chex
import jax
import numpy as np
import pytest

from jaxssl import models
from jaxssl.errors import UserError
from jaxssl.train.workdir import Workdir
from jaxssl.weights import huggingface_convnets, timm
from jaxssl.weights.exported import save_encoder
from tests.commands import runs
from tests.models import timm_reference
from tests.models.timm_reference import relative_error
from tests.weights import released

SIDES = (64, 96)
_SMALL = {'hidden_sizes': [8, 16, 32, 64], 'depths': [1, 1, 2, 1]}
_RESNET = _SMALL | {'depths': [2, 2, 2, 2], 'embedding_size': 8}
# Kind -> (arguments of its configuration, name of our encoder).
CASES = {
  'ResNet': (_RESNET | {'layer_type': 'basic'}, 'resnet18'),
  'ConvNext': (_SMALL, 'convnext_t'),
  'ConvNextV2': (_SMALL, 'convnextv2_t'),
  'DINOv3ConvNext': (_SMALL, 'convnext_t'),
}
# Widths of DINOv3's ConvNeXts, T and S, B, L.
WIDTHS = (96, 128, 192)


def _model(kind, arguments):
  import transformers

  config = getattr(transformers, f'{kind}Config')(**arguments)
  return getattr(transformers, f'{kind}Model')(config)


def _processor(kind):
  import transformers

  side = {'height': SIDES[0], 'width': SIDES[0]}
  if kind == 'DINOv3ConvNext':
    return transformers.DINOv3ViTImageProcessor(size=side)
  return transformers.ConvNextImageProcessorPil(
    size={'shortest_edge': SIDES[0]}, crop_pct=0.875
  )


def _features(model, images):
  import torch

  with torch.no_grad():
    found = model(pixel_values=timm_reference.to_torch(images))
  return found.pooler_output.numpy().reshape(len(images), -1)


def _assert_equal(model, exported, *pictures):
  encode = jax.jit(exported.encoder.apply)
  for images in pictures:
    own, _ = encode(exported.variables, images)
    error = relative_error(own, _features(model, images))
    assert error < released.TOLERANCE


@pytest.mark.reference
@pytest.mark.parametrize('kind', CASES)
def test_features_equal_transformers_in_and_out(kind, tmp_path):
  import transformers

  arguments, name = CASES[kind]
  processor = _processor(kind)
  model = released.from_transformers(
    tmp_path / 'model', _model(kind, arguments), processor
  )
  exported = released.imported(tmp_path / 'model', tmp_path / 'run')
  assert exported.section['name'] == name
  # transformers resizes as floats for DINOv3, so pixels differ by 1/255.
  atol = 0.02 if kind == 'DINOv3ConvNext' else 2e-6
  shown = released.assert_same_pixels(
    exported, lambda x: processor(x)['pixel_values'][0], atol=atol
  )
  _assert_equal(model, exported, shown, released.images(SIDES[1]))
  out = tmp_path / 'out'
  command = ('export', 'huggingface', f'--workdir={tmp_path / "run"}')
  assert runs.jaxssl(*command, f'--out={out}') == 0
  theirs = transformers.AutoModel.from_pretrained(out).eval()
  _assert_equal(theirs, exported, released.images(SIDES[1]))
  back = released.imported(out, tmp_path / 'back')
  assert back.section == exported.section
  chex.assert_trees_all_equal(back.variables, exported.variables)


@pytest.mark.slow
@pytest.mark.reference
@pytest.mark.parametrize('width', WIDTHS)
def test_dinov3_convnexts_of_full_width(width, tmp_path):
  sizes = [width * 2**i for i in range(4)]
  arguments = {'hidden_sizes': sizes, 'depths': [1, 1, 2, 1]}
  model = released.from_transformers(
    tmp_path / 'model',
    _model('DINOv3ConvNext', arguments),
    _processor('DINOv3ConvNext'),
  )
  exported = released.imported(tmp_path / 'model', tmp_path / 'run')
  _assert_equal(model, exported, *map(released.images, SIDES))


@pytest.mark.parametrize(
  'section',
  [
    {'name': 'resnet50', 'width': 0.125},
    {'name': 'convnextv2_t', 'width': 8, 'blocks': (1, 2, 1, 1)},
  ],
)
def test_names_there_and_back(section):
  encoder = models.make_encoder(**section)
  variables = timm_reference.random_variables(
    encoder, timm_reference.images(32)
  )
  _, tensors = huggingface_convnets.convert(encoder, variables, 32)
  prefixed = {f'resnet.{name}': tensor for name, tensor in tensors.items()}
  prefixed['classifier.1.weight'] = np.zeros((3, 4), np.float32)
  own = timm.to_timm(variables)
  for given in (tensors, prefixed):
    assert huggingface_convnets.has_convnet(given)
    chex.assert_trees_all_equal(huggingface_convnets.named(given), own)


@pytest.mark.parametrize(
  ('section', 'reason'),
  [
    ({'name': 'resnet18', 'stem': 'cifar'}, 'stem'),
    ({'name': 'convnext_t', 'epsilon': 1e-5}, 'epsilon'),
    ({'name': 'convnextv2_t', 'layer_scale': 0.1}, 'LayerScale'),
  ],
)
def test_what_transformers_has_not_is_refused(section, reason):
  encoder = models.make_encoder(**section)
  with pytest.raises(UserError, match=reason):
    huggingface_convnets.convert(encoder, {'params': {}}, 32)


def test_a_resnet_of_another_version_is_refused(tmp_path, capsys):
  exported = released.random_export({'name': 'resnet18', 'width': 0.125}, 64)
  save_encoder(Workdir(tmp_path / 'run').export, exported)
  out = tmp_path / 'out'
  command = ('export', 'huggingface', f'--workdir={tmp_path / "run"}')
  assert runs.jaxssl(*command, f'--out={out}') == 0
  config = out / 'config.json'
  text = config.read_text().replace('ck": false', 'ck": true')
  config.write_text(text)
  assert runs.jaxssl('import', out, f'--workdir={tmp_path / "back"}') == 2
  assert 'downsample_in_bottleneck is true' in capsys.readouterr().err
