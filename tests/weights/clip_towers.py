"""A tiny CLIP and SigLIP at random weights, and arguments to import them."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxssl import models
from jaxssl.methods import CLIP, SigLIP, SigLIP2
from jaxssl.text import make_tokenizer
from jaxssl.weights import huggingface_two_towers, timm

SIZE, LENGTH = 32, 9
TOKENIZER = make_tokenizer(length=LENGTH)
SMALL = {'dim': 32, 'depth': 2, 'num_heads': 4, 'mlp_ratio': 2.0}
RESNET = {'blocks': (1, 2, 1, 1), 'width': 4, 'out_dim': 24}


def clip(*, encoder=None, text_encoder=None, head=None, **options):
  """Returns the method; changes of its modules by attribute."""
  sizes = {
    'vocab_size': TOKENIZER.vocab_size,
    'length': LENGTH,
    'eot_id': TOKENIZER.end_id,
  }
  return CLIP(
    encoder=models.make_encoder('clip_vit_b8', **SMALL | (encoder or {})),
    text_encoder=models.make_text_encoder(
      'clip_512', **SMALL | sizes | (text_encoder or {})
    ),
    head=models.Projection(**{'out_dim': 24, **(head or {})}),
    **options,
  )


def clip_resnet():
  """Returns the method with CLIP's modified ResNet."""
  method = clip(project_images=False)
  encoder = models.CLIPResNet(**RESNET)
  return CLIP(
    encoder=encoder,
    text_encoder=method.text_encoder,
    head=method.head,
    project_images=False,
  )


def siglip(*, encoder=None, text_encoder=None, head=None, **options):
  """Returns the method of the sigmoid loss, as open_clip has it.

  Changes of its modules by attribute.
  """
  sizes = {'vocab_size': TOKENIZER.vocab_size, 'length': LENGTH, 'act': 'gelu'}
  return SigLIP(
    encoder=models.make_encoder(
      'siglip_vit_b8', **SMALL | {'act': 'gelu'} | (encoder or {})
    ),
    text_encoder=models.make_text_encoder(
      'siglip_b', **SMALL | sizes | (text_encoder or {})
    ),
    head=models.Projection(
      **{'out_dim': SMALL['dim'], 'use_bias': True, **(head or {})}
    ),
    **{'project_images': False, **options},
  )


def siglip2():
  """Returns the method of SigLIP 2, whose tower has a token for masks."""
  method = siglip(encoder={'use_mask_token': True})
  return SigLIP2(
    encoder=method.encoder,
    text_encoder=method.text_encoder,
    head=method.head,
    project_images=False,
  )


def abstract(method, *, channels=3):
  """Returns the shapes of what the method exports."""
  views = (jnp.zeros((2, SIZE, SIZE, channels)),)
  batch = {
    'views': views * (3 if isinstance(method, SigLIP2) else 1),
    'text': jnp.zeros((2, LENGTH), jnp.int32),
  }
  state = jax.eval_shape(method.init, jax.random.key(0), batch)
  return jax.eval_shape(method.export, *state)


def random(method):
  """Returns what the method exports, every number drawn."""
  rng = np.random.default_rng(0)

  def draw(path, leaf):
    noise = 0.1 * rng.standard_normal(leaf.shape).astype(np.float32)
    return noise + np.float32(path[-1].key in ('scale', 'var'))

  return jax.tree_util.tree_map_with_path(draw, abstract(method))


def text():
  """Returns ids int32 [3, LENGTH] of a short, an over-long and no text."""
  return TOKENIZER.encode(['a cup', 'a red cup on a table', ''])


def arguments():
  """Returns the arguments of `jaxssl import` for the towers of `clip()`."""
  return (
    '--encoder=clip_vit_b8',
    '--text_encoder=clip_512',
    f'--image_size={SIZE}',
    *(f'--config.encoder.{name}={value}' for name, value in SMALL.items()),
    *text_arguments(),
  )


def siglip_arguments():
  """Returns the same for `siglip()`."""
  return (
    '--encoder=siglip_vit_b8',
    '--text_encoder=siglip_b',
    f'--image_size={SIZE}',
    *(f'--config.encoder.{name}={value}' for name, value in SMALL.items()),
    *text_arguments(),
  )


def resnet_arguments():
  """Returns the same for `clip_resnet()`."""
  return (
    '--encoder=clip_resnet50',
    '--text_encoder=clip_512',
    f'--image_size={SIZE}',
    *(f'--config.encoder.{name}={value}' for name, value in RESNET.items()),
    *text_arguments(),
  )


def text_arguments():
  """Returns the sizes of the text tower."""
  return (
    f'--config.text_encoder.{name}={value}' for name, value in SMALL.items()
  )


def open_clip_resnet_tensors():
  """Returns open_clip's tensors of a random `clip_resnet()`."""
  return resnet_tensors(random(clip_resnet()))


def resnet_tensors(towers):
  """Returns OpenAI's tensors of the towers of `clip_resnet()`.

  By the names that timm's reader of OpenAI's files understands.
  """
  tensors = {
    f'visual.{name}': tensor
    for name, tensor in timm.to_timm(towers['encoder']).items()
  }
  positions = tensors.pop('visual.attnpool.pos_embed')
  tensors['visual.attnpool.positional_embedding'] = positions[0]
  tensors['visual.bn1.num_batches_tracked'] = np.zeros((), np.int64)
  return tensors | _text_tensors()


def _text_tensors():
  """The text tower of `clip()`, q, k and v stacked, and what is of neither."""
  theirs = huggingface_two_towers.tensors(random(clip()))
  tensors = {
    'text_projection': theirs['text_projection.weight'].T,
    'logit_scale': theirs['logit_scale'],
    'attn_mask': np.zeros((9, 9), np.float32),
    'context_length': np.asarray(9),
  }
  for start, name in (
    ('text_model.embeddings.token_embedding.weight', 'token_embedding.weight'),
    ('text_model.embeddings.position_embedding.weight', 'positional_embedding'),
    ('text_model.final_layer_norm.weight', 'ln_final.weight'),
    ('text_model.final_layer_norm.bias', 'ln_final.bias'),
  ):
    tensors[name] = theirs[start]
  for block in range(SMALL['depth']):
    old, new = (
      f'text_model.encoder.layers.{block}.',
      f'transformer.resblocks.{block}.',
    )
    for kind in ('weight', 'bias'):
      tensors[f'{new}attn.in_proj_{kind}'] = np.concatenate(
        [theirs[f'{old}self_attn.{part}_proj.{kind}'] for part in 'qkv']
      )
      for mine, own in (
        ('self_attn.out_proj', 'attn.out_proj'),
        ('layer_norm1', 'ln_1'),
        ('layer_norm2', 'ln_2'),
        ('mlp.fc1', 'mlp.c_fc'),
        ('mlp.fc2', 'mlp.c_proj'),
      ):
        tensors[f'{new}{own}.{kind}'] = theirs[f'{old}{mine}.{kind}']
  return tensors
