import chex
import jax
import numpy as np
import pytest

from jaxssl.errors import UserError
from jaxssl.weights import huggingface_pairs, huggingface_two_towers, open_clip
from tests.models import timm_reference
from tests.weights import clip_towers


def _load(tensors, method):
  return huggingface_pairs.pair_from_huggingface(
    open_clip.to_huggingface(tensors), clip_towers.abstract(method)
  )


def _vit(**options):
  from benchmarks.peers import torch_open_clip

  sizes = {'image_size': clip_towers.SIZE, 'patch_size': 8, **options}
  return torch_open_clip.vit(image=clip_towers.SMALL, **sizes, **_JOINT)


def _resnet():
  from benchmarks.peers import torch_open_clip

  sizes = {'image_size': clip_towers.SIZE, **clip_towers.RESNET}
  return torch_open_clip.resnet(**sizes | _JOINT)


def _siglip():
  from benchmarks.peers import torch_open_clip

  sizes = {'image_size': clip_towers.SIZE, 'patch_size': 8}
  return torch_open_clip.siglip(image=clip_towers.SMALL, **sizes, **_TEXT)


_TEXT = {
  'text': clip_towers.SMALL,
  'vocab_size': clip_towers.TOKENIZER.vocab_size,
  'length': clip_towers.LENGTH,
}
_JOINT = _TEXT | {'out_dim': 24}
MODELS = {
  'vit': (_vit, clip_towers.clip),
  # open_clip's own weights have the other activation.
  'vit, gelu': (
    lambda: _vit(quick_gelu=False),
    lambda: clip_towers.clip(
      encoder={'act': 'gelu'}, text_encoder={'act': 'gelu'}
    ),
  ),
  'resnet': (_resnet, clip_towers.clip_resnet),
  'siglip': (_siglip, clip_towers.siglip),
}


@pytest.mark.reference
@pytest.mark.parametrize('name', MODELS)
def test_features_and_logits_equal_open_clip(name):
  from benchmarks.peers import torch_open_clip

  make, make_ours = MODELS[name]
  model, method = make(), make_ours()
  tensors = {n: t.numpy() for n, t in model.state_dict().items()}
  towers = _load(tensors, method)
  images, text = timm_reference.images(clip_towers.SIZE, 3), clip_towers.text()
  theirs = torch_open_clip.run(model, images, text)
  x, y = jax.jit(
    lambda towers, images, text: (
      method.encode_image(towers, images),
      method.encode_text(towers, text),
    )
  )(towers, images, text)
  scalars = towers['logits']['params']
  logits = np.exp(scalars['scale']) * x @ y.T + scalars.get('bias', 0.0)
  # float32 on both sides, two blocks or 17 convolutions.
  for ours, wanted in zip((x, y, logits), theirs, strict=True):
    np.testing.assert_allclose(ours, wanted, atol=1e-5)


@pytest.mark.reference
@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({'text.text_projection.weight': None}, 'text_projection.weight.*SigLIP'),
    ({'visual.head.proj.weight': np.zeros((2, 2))}, 'proj.weight is not used'),
    ({'visual.trunk.attn_pool.q.bias': None}, 'attn_pool.q.bias is missing'),
    ({'logit_scale': None}, "no scalar 'logit_scale'"),
  ],
)
def test_a_damaged_siglip_is_a_user_error(change, message):
  tensors = {n: t.numpy() for n, t in _siglip().state_dict().items()} | change
  tensors = {n: t for n, t in tensors.items() if t is not None}
  with pytest.raises(UserError, match=message):
    _load(tensors, clip_towers.siglip())


def test_the_modified_resnet_is_read_to_the_bit():
  method = clip_towers.clip_resnet()
  towers = clip_towers.random(method)
  loaded = _load(clip_towers.resnet_tensors(towers), method)
  chex.assert_trees_all_equal(loaded['encoder'], towers['encoder'])
  text = clip_towers.random(clip_towers.clip())['text']
  chex.assert_trees_all_equal(loaded['text'], text)
  assert 'image_head' not in loaded
  assert not huggingface_pairs.projects_images(
    open_clip.to_huggingface(clip_towers.resnet_tensors(towers))
  )


def _read_all(to_huggingface, tensors, towers):
  named = to_huggingface(tensors)
  huggingface_pairs.text_sizes(named)
  huggingface_pairs.head_sizes(named)
  huggingface_pairs.pair_from_huggingface(named, towers)


SHAPES = [(), (0,), (3,), (0, 7), (2, 3), (1, 1, 1, 1, 1)]


@pytest.mark.parametrize('shape', SHAPES)
def test_a_tensor_of_any_other_shape_is_a_user_error(shape):
  method = clip_towers.clip_resnet()
  towers = clip_towers.abstract(method)
  good = clip_towers.resnet_tensors(clip_towers.random(method))
  ignored = ('attn_mask', 'context_length', 'visual.bn1.num_batches_tracked')
  for name in sorted(good.keys() - set(ignored)):
    if good[name].shape == shape:
      continue
    bad = good | {name: np.zeros(shape, np.float32)}
    with pytest.raises(UserError):
      _read_all(open_clip.to_huggingface, bad, towers)


@pytest.mark.parametrize('shape', SHAPES)
def test_the_same_of_a_clip_model(shape):
  method = clip_towers.clip()
  towers = clip_towers.abstract(method)
  good = huggingface_two_towers.tensors(clip_towers.random(method))
  for name in good:
    if good[name].shape == shape:
      continue
    bad = good | {name: np.zeros(shape, np.float32)}
    with pytest.raises(UserError):
      _read_all(dict, bad, towers)


@pytest.mark.parametrize(
  ('change', 'message'),
  [
    ({'text_projection': None}, "no tensor is called 'text_projection'"),
    (
      {'logit_bias': np.zeros(())},
      "'visual.trunk.patch_embed.proj.weight', as in the SigLIP models",
    ),
    ({'visual.extra': np.zeros(1)}, 'extra is not used'),
    ({'extra': np.zeros(1)}, 'extra is not used'),
    ({'visual.conv2.weight': None}, 'conv2.weight is missing'),
    (
      {'transformer.resblocks.0.attn.in_proj_bias': None},
      'qkv.bias is missing',
    ),
    (
      {'transformer.resblocks.0.attn.in_proj_bias': np.zeros(7)},
      'not three matrices',
    ),
  ],
)
def test_files_of_something_else_are_user_errors(change, message):
  method = clip_towers.clip_resnet()
  tensors = clip_towers.resnet_tensors(clip_towers.random(method)) | change
  tensors = {n: t for n, t in tensors.items() if t is not None}
  with pytest.raises(UserError, match=message):
    _load(tensors, method)
