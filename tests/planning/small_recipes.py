"""The recipes of `configs/`, as published but for depth, width and batch."""

import pathlib

from jaxssl import config as config_lib
from jaxssl.config import schema
from jaxssl.planning import abstract
from tests.tiny_tokenizer import tiny_tokenizer

CONFIGS = pathlib.Path(__file__).resolve().parents[2] / 'configs'
# Heads 64 wide, numbers of tokens as published.
_VIT = ('encoder.depth=1', 'encoder.dim=64', 'encoder.num_heads=1')
_TEXT = (
  'text_encoder.depth=1',
  'text_encoder.dim=64',
  'text_encoder.num_heads=1',
)
_RESNET = ('encoder.depth=18', 'encoder.width=0.125')
_WIDE_HEAD = ('head.hidden_dim=64', 'head.out_dim=64')
_PAIRS = (*_VIT, *_TEXT, 'method.chunk=2')
RECIPES = {
  'barlow_twins_resnet50_imagenet': (*_RESNET, *_WIDE_HEAD),
  'beit_vit_b16_imagenet': _VIT,
  'byol_resnet50_imagenet': (*_RESNET, *_WIDE_HEAD),
  'clip_lit_vit_b16_tar': (*_VIT, *_TEXT, 'head.out_dim=64'),
  'clip_resnet50_tar': (
    'encoder.blocks=(1, 1, 1, 1)',
    'encoder.width=8',
    *_TEXT,
    'method.chunk=2',
  ),
  'clip_vit_b32_tar': _PAIRS,
  'coca_vit_b18_tar': (*_PAIRS, 'head.out_dim=64'),
  'colorization_resnet50_imagenet': _RESNET,
  'data2vec_vit_b16_imagenet': (*_VIT, 'method.num_blocks=1'),
  'dino_resnet50_imagenet': (
    *_RESNET,
    'head.out_dim=256',
    'head.hidden_dim=64',
  ),
  'dino_vit_s16_imagenet': (*_VIT, 'head.out_dim=256', 'head.hidden_dim=64'),
  'dinov2_vit_l16_imagenet': (
    *_VIT,
    *_WIDE_HEAD,
    'method.koleo_group=2',
  ),
  'dinov3_vit_l16_imagenet': (*_VIT, *_WIDE_HEAD, 'method.koleo_group=2'),
  'dvae_imagenet': ('encoder.width=8', 'encoder.vocab_size=128'),
  'ibot_vit_s16_imagenet': (*_VIT, *_WIDE_HEAD),
  'ijepa_vit_h14_imagenet': (*_VIT, 'method.predictor_depth=1'),
  'jigsaw_resnet50_imagenet': _RESNET,
  'lejepa_vit_l14_imagenet': (
    *_VIT,
    *_WIDE_HEAD,
    'method.num_directions=64',
  ),
  'mae_vit_b16_imagenet': (
    *_VIT,
    'method.decoder_depth=1',
    'method.decoder_dim=64',
    'method.decoder_heads=1',
  ),
  'maskfeat_vit_b16_imagenet': _VIT,
  'moco_v1_resnet50_imagenet': (*_RESNET, 'method.queue_size=256'),
  'moco_v2_resnet50_imagenet': (*_RESNET, 'method.queue_size=256'),
  'moco_v3_resnet50_imagenet': (*_RESNET, 'head.hidden_dim=64'),
  'moco_v3_vit_s16_imagenet': (*_VIT, 'head.hidden_dim=64'),
  'msn_vit_s16_imagenet': (*_VIT, *_WIDE_HEAD),
  'relative_patch_resnet50_imagenet': _RESNET,
  'rotation_resnet50_imagenet': _RESNET,
  'siglip_vit_b16_tar': (*_PAIRS, 'head.out_dim=64'),
  'siglip2_vit_b16_tar': (
    *_PAIRS,
    'head.out_dim=64',
    'method.hidden_dim=64',
    'method.num_prototypes=64',
    'augment.num_local=2',
  ),
  'simmim_vit_b16_imagenet': _VIT,
  'simsiam_resnet50_imagenet': (*_RESNET, *_WIDE_HEAD),
  'simclr_resnet50_imagenet': _RESNET,
  'swav_resnet50_imagenet': (*_RESNET, *_WIDE_HEAD),
  'vicreg_resnet50_imagenet': (*_RESNET, *_WIDE_HEAD),
  'simclr_vit_s16_folder': _VIT,
}


def plan(name: str, *overrides: str, batch_size: int = 16) -> abstract.Plan:
  """Returns the step of a recipe, made small.

  Args:
    name: a key of `RECIPES`.
    *overrides: more of them, without `--config.`.
    batch_size: rows of the global batch.
  """
  if name.startswith('beit'):
    overrides += (f'method.tokenizer={tiny_tokenizer()}',)
  config = schema.complete(config_lib.load_file(str(CONFIGS / f'{name}.py')))
  flags = [f'--config.{each}' for each in (*RECIPES[name], *overrides)]
  config = schema.apply_overrides(config, config_lib.parse_overrides(flags))
  return abstract.plan(config, batch_size=batch_size, num_examples=100_000)
