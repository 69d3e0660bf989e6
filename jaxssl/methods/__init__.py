"""Pre-training methods: one file each, one table."""

import functools
import math

from jaxssl import models
from jaxssl.methods import guessing
from jaxssl.methods.barlow_twins import BarlowTwins as BarlowTwins
from jaxssl.methods.barlow_twins import projector
from jaxssl.methods.base import Aux as Aux
from jaxssl.methods.base import Batch as Batch
from jaxssl.methods.base import Method as Method
from jaxssl.methods.beit import BEiT as BEiT
from jaxssl.methods.byol import BYOL as BYOL
from jaxssl.methods.byol import mlp
from jaxssl.methods.clip import CLIP as CLIP
from jaxssl.methods.coca import CoCa as CoCa
from jaxssl.methods.colorization import Colorization as Colorization
from jaxssl.methods.data2vec import Data2Vec as Data2Vec
from jaxssl.methods.dino import DINO as DINO
from jaxssl.methods.dinov2 import DINOv2 as DINOv2
from jaxssl.methods.dinov2 import head as dinov2_head
from jaxssl.methods.distillation import Distillation as Distillation
from jaxssl.methods.dvae import DVAE as DVAE
from jaxssl.methods.entry import Entry, Tiny
from jaxssl.methods.ibot import IBOT as IBOT
from jaxssl.methods.ibot import head as ibot_head
from jaxssl.methods.ijepa import IJEPA as IJEPA
from jaxssl.methods.jigsaw import Jigsaw as Jigsaw
from jaxssl.methods.lejepa import LeJEPA as LeJEPA
from jaxssl.methods.lejepa import projector as lejepa_projector
from jaxssl.methods.mae import MAE as MAE
from jaxssl.methods.maskfeat import MaskFeat as MaskFeat
from jaxssl.methods.moco import MoCo as MoCo
from jaxssl.methods.moco_v3 import MoCoV3 as MoCoV3
from jaxssl.methods.msn import MSN as MSN
from jaxssl.methods.msn import head as msn_head
from jaxssl.methods.nnclr import NNCLR as NNCLR
from jaxssl.methods.nnclr import projector as nnclr_projector
from jaxssl.methods.relative_patch import RelativePatch as RelativePatch
from jaxssl.methods.rotation import Rotation as Rotation
from jaxssl.methods.siglip import SigLIP as SigLIP
from jaxssl.methods.siglip2 import SigLIP2 as SigLIP2
from jaxssl.methods.simclr import SimCLR as SimCLR
from jaxssl.methods.simmim import SimMIM as SimMIM
from jaxssl.methods.simsiam import SimSiam as SimSiam
from jaxssl.methods.simsiam import projector as simsiam_projector
from jaxssl.methods.supervised import Supervised as Supervised
from jaxssl.methods.swav import SwAV as SwAV
from jaxssl.methods.vicreg import VICReg as VICReg
from jaxssl.methods.vicreg import expander
from jaxssl.methods.wmse import WMSE as WMSE
from jaxssl.methods.wmse import projector as wmse_projector

# The slow network comes to rest at the end of the run.
_TO_ONE = {'name': 'cosine', 'end': 1.0}
# Targets get softer over a run, where the authors' do within 30
# epochs, which a short run does not have.
_SOFTER = {'name': 'linear', 'start': 0.04, 'end': 0.07}
# SigLIP 2's additional losses, at the end of a run; for ViT-B.
_LATE = {'name': 'switch', 'start': 0.0, 'end': 0.25, 'at': 0.8}
# A tower of texts for small pictures, with a token per byte.
_SMALL_TEXT = {'dim': 128, 'depth': 4, 'num_heads': 4}
_SMALL_SIMCLR = {'augment': {'name': 'simclr_cifar'}}
# A queue for few pictures.
_SMALL_QUEUE = {'method': {'queue_size': 1024, 'momentum': 0.99}}
# Three batches of the tests.
_TINY_QUEUE = {'temperature': 1.0, 'momentum': 0.9, 'queue_size': 48}
_TINY_VIT = {'name': 'vit_ti4', 'dim': 16, 'depth': 2, 'num_heads': 2}

# What differs from AdamW at 1e-3 (ResNet) or 5e-4 (ViT) with decay 0.05.
_BEIT_OPTIM = {
  # 1.5e-3 at the published batch of 2048.
  'learning_rate': {'start': 1.5e-3 / 8, 'end': 1e-5},
  # The authors' exception; their mask token is decayed.
  'rules': ({'match': 'cls_token', 'weight_decay': 0.0},),
  'clip_norm': 3.0,
}
_DATA2VEC_OPTIM = {
  **_BEIT_OPTIM,
  # 2e-3 at the published batch of 2048.
  'learning_rate': {'start': 2e-3 / 8, 'end': 1e-5},
}
_DINO_OPTIM = {
  'learning_rate': {'start': 5e-4, 'end': 1e-6, 'convention': 'linspace'},
  'weight_decay': {
    'name': 'cosine',
    'start': 0.04,
    'end': 0.4,
    'convention': 'linspace',
  },
  # Each array by itself, as the authors' `clip_gradients`.
  'clip_tensor_norm': 3.0,
  'rules': ({'match': 'head/last_layer', 'freeze_epochs': 1},),
}
_DINOV2_OPTIM = {
  **{name: _DINO_OPTIM[name] for name in ('weight_decay', 'rules')},
  # DINO's: the published 2e-3 of batch 256 goes with a rate that falls towards
  # the first layers, and LayerScale.
  'learning_rate': {'start': 5e-4, 'end': 1e-6, 'convention': 'linspace'},
  'clip_norm': 3.0,
}
_IJEPA_OPTIM = {
  'learning_rate': {'start': 1e-3 / 8, 'end': 1e-6},
  'weight_decay': {'name': 'cosine', 'start': 0.04, 'end': 0.4},
}
_LEJEPA_OPTIM = {'learning_rate': {'start': 5e-4, 'end': 5e-7}}
_MAE_OPTIM = {'learning_rate': {'start': 1.5e-4}, 'b2': 0.95}
_MASKFEAT_OPTIM = {
  'learning_rate': {'start': 2e-4, 'end': 1e-6},
  'clip_norm': 0.02,
}
_MOCO_V3_OPTIM = {
  'learning_rate': {'start': 1.5e-4},
  'weight_decay': 0.1,
  # Never trained: the paper's remedy for unstable ViTs.
  'rules': ({'match': 'patch_embed', 'freeze_steps': -1},),
}
_MSN_OPTIM = {
  # 1e-3 at the published batch of 1024.
  'learning_rate': {'start': 1e-3 / 4, 'end': 1e-6},
  'weight_decay': {'name': 'cosine', 'start': 0.04, 'end': 0.4},
  'rules': ({'match': 'head/last_layer', 'weight_decay': 0.0},),
  'clip_norm': 3.0,
}
_CLIP_OPTIM = {
  'learning_rate': {'start': 5e-4},
  'b2': 0.98,
  'epsilon': 1e-6,
  'weight_decay': 0.2,
}
_CLIP_VIT_OPTIM = {
  # A vector in CLIP's code, so not decayed; here it is [1, 1, D].
  'rules': ({'match': 'cls_token$', 'weight_decay': 0.0},),
}
_COCA_OPTIM = {
  # 8e-4 at the published batch of 65,536.
  'learning_rate': {'start': 5e-4},
  'weight_decay': 0.01,
}
_SIGLIP_OPTIM = {
  'learning_rate': {'start': 1e-3},
  'b2': 0.95,
  'weight_decay': 1e-4,
}
_SIGLIP2_OPTIM = {
  'learning_rate': {'start': 1e-3},
  'weight_decay': 1e-4,
  'clip_norm': 1.0,
}
_SIMMIM_OPTIM = {
  # 4e-4 at the published batch of 2048.
  'learning_rate': {'start': 4e-4 / 8},
  # Vectors in the authors' code; here they are [1, 1, D].
  'rules': ({'match': 'cls_token|mask_token', 'weight_decay': 0.0},),
  'clip_norm': 5.0,
}
# SimCLR has no recipe for ViTs: the numbers of DINO and MoCo v3.
_SIMCLR_OPTIM = {
  'learning_rate': {'start': 5e-4, 'end': 1e-6},
  'weight_decay': 0.1,
  'clip_norm': 3.0,
}

METHODS: dict[str, Entry] = {
  'barlow_twins': Entry(
    make=BarlowTwins,
    head=projector,
    recipe='byol',
    config='barlow_twins_photos',
    num_views=2,
    pair=True,
    small={
      **_SMALL_SIMCLR,
      'head': {'name': 'barlow_twins', 'hidden_dim': 512, 'out_dim': 512},
    },
    # Projections that know nothing of each other: C is 0.
    guessing=lambda m, rows: float(m.head.out_dim),
    tiny=Tiny(
      # From 0, views that agree, to 16 (1 + 1/16), views that share nothing;
      # crops of one picture lie between.
      initial_loss=8.5,
      tolerance=1.0,
      head={'num_layers': 2, 'hidden_dim': 32, 'out_dim': 16},
    ),
  ),
  'beit': Entry(
    make=BEiT,
    recipe='beit',
    config='beit_photos',
    only_encoder='vit',
    encoder='vit_s16',
    vit={'position': 'relative', 'layer_scale': 0.1, 'use_mask_token': True},
    optim=_BEIT_OPTIM,
    any_size=False,
    needs_pixels=True,
    panel='reconstruction.beit_panel',
    guessing=lambda m, rows: guessing.among(m.tokenizer.encoder.vocab_size),
    tiny=Tiny(
      # The tokenizer of the tests has 16 codes.
      initial_loss=math.log(16),
      tolerance=0.05,
      learning_rate=0.1,
      method={'num_masked': 6, 'min_block': 2},
      encoder={**_TINY_VIT, 'drop_path': 0.2},
    ),
  ),
  'byol': Entry(
    make=BYOL,
    head=mlp,
    recipe='byol',
    config='byol_photos',
    num_views=2,
    pair=True,
    defaults={'method': {'momentum': {**_TO_ONE, 'start': 0.996}}},
    small={
      **_SMALL_SIMCLR,
      'head': {'name': 'byol', 'hidden_dim': 1024, 'out_dim': 128},
    },
    tiny=Tiny(
      # Predictions that have nothing to do with their targets.
      initial_loss=4.0,
      learning_rate=0.1,
      method={'momentum': 0.9},
      head={'hidden_dim': 32, 'out_dim': 64},
    ),
  ),
  'clip': Entry(
    make=CLIP,
    head=models.Projection,
    text_encoder='clip_512',
    recipe='clip',
    config='clip_photos',
    small={'text_encoder': {'name': 'clip_512', **_SMALL_TEXT}},
    guessing=lambda m, rows: guessing.among(rows),
    few={'text_encoder': {'name': 'clip_512', **_SMALL_TEXT}},
    optim=_CLIP_OPTIM,
    vit_optim=_CLIP_VIT_OPTIM,
    tiny=Tiny(
      # Warm, so that the logits of random features are small.
      initial_loss=math.log(16),
      method={'temperature': 1.0},
      head={'out_dim': 8},
      encoder={**_TINY_VIT, 'drop_path': 0.2},
    ),
  ),
  'coca': Entry(
    make=CoCa,
    head=models.Projection,
    text_encoder='clip_512',
    recipe='clip',
    config='coca_photos',
    encoder='vit_s16',
    vit={'pool': 'map', 'class_token': False},
    small={'text_encoder': {'name': 'clip_512', **_SMALL_TEXT}},
    few={'text_encoder': {'name': 'clip_512', **_SMALL_TEXT}},
    optim=_COCA_OPTIM,
    tiny=Tiny(
      # 32 words, whose logits start with the variance 1.
      initial_loss=math.log(16) + 2 * (math.log(32) + 0.5),
      method={'temperature': 1.0},
      head={'out_dim': 8},
      encoder={**_TINY_VIT, 'drop_path': 0.2},
    ),
  ),
  'colorization': Entry(
    make=Colorization,
    recipe='colorization',
    config='colorization_photos',
    needs_rgb=True,
    only_rgb=True,
    panel='reconstruction.colorization_panel',
    tiny=Tiny(
      initial_loss=math.log(313),
      tolerance=0.05,
      learning_rate=0.05,
      method={'decoder_dim': 8},
    ),
  ),
  'data2vec': Entry(
    make=Data2Vec,
    recipe='beit',
    config='data2vec_photos',
    only_encoder='vit',
    encoder='vit_s16',
    vit={
      'position': 'relative',
      'layer_scale': 1e-4,
      'use_mask_token': True,
      'pool': 'avg',
      'fc_norm': False,
    },
    optim=_DATA2VEC_OPTIM,
    any_size=False,
    small={
      'method': {
        'num_masked': 38,
        'min_block': 4,
        'num_blocks': 4,
        'momentum': 0.99,
      }
    },
    few={'method': {'momentum': 0.999}},
    tiny=Tiny(
      # Predictions near 0 of targets of variance 1.
      initial_loss=0.247,
      learning_rate=0.1,
      method={
        'num_masked': 6,
        'min_block': 2,
        'num_blocks': 1,
        'momentum': 0.9,
      },
      encoder={**_TINY_VIT, 'drop_path': 0.2},
    ),
  ),
  'dcl': Entry(
    make=functools.partial(SimCLR, decoupled=True),
    head=models.SimCLRHead,
    recipe='simclr',
    config='dcl_photos',
    num_views=2,
    pair=True,
    small=_SMALL_SIMCLR,
    guessing=lambda m, rows: guessing.among(2 * rows - 2),
    vit_optim=_SIMCLR_OPTIM,
    tiny=Tiny(
      initial_loss=math.log(30),
      learning_rate=0.2,
      method={'temperature': 1.0},
      head={'num_layers': 2, 'out_dim': 16},
    ),
  ),
  'dino': Entry(
    make=DINO,
    head=models.DINOHead,
    recipe='dino',
    config='dino_photos',
    num_views=2,
    encoder='vit_s16',
    defaults={'method': {'momentum': {**_TO_ONE, 'start': 0.996}}},
    few={'head': {'name': 'dino', 'out_dim': 4096}},
    optim=_DINO_OPTIM,
    small={
      'head': {'name': 'dino', 'out_dim': 4096},
      'augment': {'local_size': 16, 'num_local': 4, 'use_blur': False},
    },
    guessing=lambda m, rows: guessing.among(m.head.out_dim),
    tiny=Tiny(
      initial_loss=math.log(64),
      learning_rate=0.1,
      # Wide, so that the logits of random features are small.
      head={'hidden_dim': 32, 'bottleneck_dim': 256, 'out_dim': 64},
    ),
  ),
  'dinov2': Entry(
    make=DINOv2,
    head=dinov2_head,
    recipe='dino',
    config='dinov2_photos',
    num_views=2,
    only_encoder='vit',
    encoder='vit_s16',
    vit={'use_mask_token': True},
    defaults={
      'method': {
        'momentum': {**_TO_ONE, 'start': 0.992},
        'teacher_temperature': _SOFTER,
      }
    },
    few={'head': {'name': 'dinov2', 'out_dim': 4096}},
    optim=_DINOV2_OPTIM,
    small={
      'head': {'name': 'dinov2', 'out_dim': 4096},
      'augment': {'local_size': 16, 'num_local': 4, 'use_blur': False},
    },
    tiny=Tiny(
      # One view of two has a mask. Features that hardly look at the pictures
      # yet are 0.07 from their neighbours (measured), in two views.
      initial_loss=1.5 * math.log(64) + 0.1 * 2 * 2.65,
      learning_rate=0.05,
      head={'hidden_dim': 32, 'bottleneck_dim': 256, 'out_dim': 64},
      encoder={**_TINY_VIT, 'drop_path': 0.2},
    ),
  ),
  'dinov3': Entry(
    make=functools.partial(DINOv2, gram_weight=2.0),
    head=dinov2_head,
    recipe='dinov3',
    config='dinov3_photos',
    num_views=2,
    only_encoder='vit',
    encoder='vit_s16',
    vit={'use_mask_token': True, 'position': 'rope', 'rope_rescale': 2.0},
    defaults={
      'method': {
        'momentum': {**_TO_ONE, 'start': 0.992},
        'teacher_temperature': _SOFTER,
      }
    },
    few={'head': {'name': 'dinov3', 'out_dim': 4096}},
    optim=_DINOV2_OPTIM,
    small={
      'head': {'name': 'dinov3', 'out_dim': 4096},
      'augment': {'local_size': 16, 'num_local': 4, 'use_blur': False},
    },
    tiny=Tiny(
      # As DINOv2's. The anchor is the student, on other pixels and without a
      # mask: patches resemble each other nearly alike.
      initial_loss=1.5 * math.log(64) + 0.01 * 2 * 2.65,
      learning_rate=0.005,
      method={
        'gram_start': 1,
        'gram_every': 2,
        'gram_updates': 1,
        # After steps on so few pictures two neighbours are equally near, and
        # rounding chooses; of DINOv2 they are not.
        'koleo_weight': 0.01,
      },
      head={'hidden_dim': 32, 'bottleneck_dim': 256, 'out_dim': 64},
      encoder={**_TINY_VIT, 'drop_path': 0.2},
    ),
  ),
  'distillation': Entry(
    make=Distillation,
    head=models.Adaptor,
    recipe='distillation',
    config='distillation_photos',
    small={'head': {'name': 'distillation', 'hidden_dim': 512}},
    needs_pixels=True,
    # Adaptors that know nothing: 1 for the features, 0.9 and the length of the
    # teacher's for the patches, which depends on it.
    tiny=Tiny(initial_loss=2.0, tolerance=0.3, head={'hidden_dim': 32}),
  ),
  'dvae': Entry(
    make=DVAE,
    starts_trained=False,
    recipe='dvae',
    config='dvae_photos',
    needs_rgb=True,
    panel='reconstruction.dvae_panel',
    only_encoder='dvae',
    encoder='dvae',
    any_size=False,
    tiny=Tiny(
      initial_loss=0.15,
      tolerance=0.5,
      method={'decoder_init_width': 8},
      encoder={
        'name': 'dvae',
        'width': 8,
        'blocks_per_group': 1,
        'vocab_size': 16,
      },
    ),
  ),
  'ibot': Entry(
    make=IBOT,
    head=ibot_head,
    recipe='dino',
    config='ibot_photos',
    num_views=2,
    only_encoder='vit',
    encoder='vit_s16',
    vit={'use_mask_token': True},
    defaults={
      'method': {
        'momentum': {**_TO_ONE, 'start': 0.996},
        'patch_temperature': _SOFTER,
      }
    },
    few={'head': {'name': 'ibot', 'out_dim': 4096}},
    optim=_DINO_OPTIM,
    small={
      'head': {'name': 'ibot', 'out_dim': 4096},
      'augment': {'local_size': 16, 'num_local': 4, 'use_blur': False},
    },
    # Views without a mask have no patch loss.
    guessing=lambda m, rows: (
      (1 + m.patch_weight * m.mask_share) * guessing.among(m.head.out_dim)
    ),
    tiny=Tiny(
      initial_loss=1.5 * math.log(64),
      learning_rate=0.1,
      head={'hidden_dim': 32, 'bottleneck_dim': 256, 'out_dim': 64},
      encoder={**_TINY_VIT, 'drop_path': 0.2},
    ),
  ),
  'ijepa': Entry(
    make=IJEPA,
    recipe='ijepa',
    config='ijepa_photos',
    only_encoder='vit',
    encoder='vit_s16',
    vit={
      'position': 'sincos_mae',
      'class_token': False,
      'pool': 'avg',
      'fc_norm': False,
    },
    defaults={
      'method': {'momentum': {'name': 'linear', 'start': 0.996, 'end': 1.0}}
    },
    optim=_IJEPA_OPTIM,
    small={
      'method': {
        'predictor_dim': 96,
        'predictor_depth': 4,
        'predictor_heads': 4,
      }
    },
    few={
      'method': {
        'predictor_dim': 192,
        'predictor_depth': 6,
        'predictor_heads': 6,
      }
    },
    tiny=Tiny(
      # Predictions near 0 of targets of variance 1.
      initial_loss=0.425,
      learning_rate=0.1,
      method={
        'predictor_dim': 16,
        'predictor_depth': 1,
        'predictor_heads': 2,
        # Of 9 patches that four targets are cut out of.
        'min_context': 1,
        'max_context': 0.5,
        'momentum': 0.9,
      },
      encoder=_TINY_VIT,
    ),
  ),
  'jigsaw': Entry(
    make=Jigsaw,
    recipe='patches',
    config='jigsaw_photos',
    # Positions that serve tiles and whole images.
    vit={'position': 'sincos_mae'},
    small={'method': {'patch_size': 8, 'channel_shift': 1}},
    panel='puzzles.jigsaw_panel',
    guessing=lambda m, rows: guessing.among(m.num_permutations),
    any_size=False,
    tiny=Tiny(
      initial_loss=math.log(6),
      tolerance=0.05,
      learning_rate=0.05,
      method={
        'num_permutations': 6,
        'permutations_per_image': 2,
        'patch_size': 4,
        'channel_shift': 0,
        'embed_dim': 8,
        'hidden_dim': 16,
      },
    ),
  ),
  'lejepa': Entry(
    make=LeJEPA,
    head=lejepa_projector,
    recipe='lejepa',
    config='lejepa_photos',
    num_views=2,
    encoder='vit_s16',
    optim=_LEJEPA_OPTIM,
    small={
      'head': {'name': 'lejepa', 'hidden_dim': 512, 'out_dim': 64},
      'augment': {'local_size': 16, 'num_local': 4, 'use_blur': False},
    },
    tiny=Tiny(
      # As VICReg's, projections vary by 0.114, and their means by 0.053: SIGReg
      # of 16 rows is 5.1. Views differ by less than 0.114 besides.
      initial_loss=0.05 * 5.1 + 0.95 * 0.08,
      learning_rate=0.05,
      method={'num_directions': 64},
      head={'num_layers': 2, 'hidden_dim': 32, 'out_dim': 16},
    ),
  ),
  'mae': Entry(
    make=MAE,
    recipe='mae',
    config='mae_photos',
    only_encoder='vit',
    encoder='vit_s16',
    vit={'position': 'sincos_mae'},
    optim=_MAE_OPTIM,
    panel='reconstruction.mae_panel',
    guessing=lambda m, rows: m.loss_of_guessing,
    tiny=Tiny(
      # 48 values per patch, decoder width 16: 1 - 1/48 + 2 16 / (16 + 48).
      initial_loss=1.479,
      method={'decoder_dim': 16, 'decoder_depth': 1, 'decoder_heads': 2},
      encoder={**_TINY_VIT, 'dim': 32},
    ),
  ),
  'maskfeat': Entry(
    make=MaskFeat,
    recipe='crop_flip',
    config='maskfeat_photos',
    only_encoder='vit',
    encoder='vit_s16',
    vit={'use_mask_token': True},
    optim=_MASKFEAT_OPTIM,
    any_size=False,
    defaults={'augment': {'scale': (0.5, 1.0)}},
    # Four tenths of 64 patches.
    small={'method': {'num_masked': 26, 'min_block': 4, 'cell': 4}},
    tiny=Tiny(
      # Predictions near 0 of unit vectors of nine values.
      initial_loss=1 / 9,
      learning_rate=0.1,
      method={'num_masked': 6, 'min_block': 2, 'cell': 4},
      encoder={**_TINY_VIT, 'drop_path': 0.2},
    ),
  ),
  'moco_v1': Entry(
    make=functools.partial(MoCo, temperature=0.07),
    head=functools.partial(models.MoCoHead, num_layers=1),
    recipe='moco_v1',
    config='moco_v1_photos',
    num_views=2,
    pair=True,
    # Without groups of BatchNorm a query knows its key by the batch.
    resnet={'bn_groups': 8},
    small={**_SMALL_SIMCLR, **_SMALL_QUEUE},
    guessing=lambda m, rows: guessing.among(m.queue_size + 1),
    few=_SMALL_QUEUE,
    tiny=Tiny(
      initial_loss=math.log(49),
      tolerance=0.25,
      method=_TINY_QUEUE,
      head={'out_dim': 16},
    ),
  ),
  'moco_v2': Entry(
    make=MoCo,
    head=models.MoCoHead,
    recipe='moco_v2',
    config='moco_v2_photos',
    num_views=2,
    pair=True,
    resnet={'bn_groups': 8},
    small={**_SMALL_SIMCLR, **_SMALL_QUEUE},
    guessing=lambda m, rows: guessing.among(m.queue_size + 1),
    few=_SMALL_QUEUE,
    tiny=Tiny(
      initial_loss=math.log(49),
      tolerance=0.25,
      method=_TINY_QUEUE,
      head={'out_dim': 16},
    ),
  ),
  'moco_v3': Entry(
    make=MoCoV3,
    head=models.MoCoV3Head,
    recipe='byol',
    config='moco_v3_photos',
    num_views=2,
    pair=True,
    vit={'position': 'sincos_moco'},
    vit_optim=_MOCO_V3_OPTIM,
    defaults={'method': {'momentum': {**_TO_ONE, 'start': 0.99}}},
    small=_SMALL_SIMCLR,
    guessing=lambda m, rows: 4 * m.temperature * guessing.among(rows),
    tiny=Tiny(
      initial_loss=4 * math.log(16),
      learning_rate=0.01,
      method={'temperature': 1.0, 'momentum': 0.9},
      head={'num_layers': 2, 'hidden_dim': 32, 'out_dim': 16},
    ),
  ),
  'msn': Entry(
    make=MSN,
    head=msn_head,
    recipe='msn',
    config='msn_photos',
    num_views=2,
    only_encoder='vit',
    encoder='vit_s16',
    defaults={
      'method': {'momentum': {'name': 'linear', 'start': 0.996, 'end': 1.0}}
    },
    optim=_MSN_OPTIM,
    small={
      'head': {'name': 'msn', 'hidden_dim': 512, 'out_dim': 256},
      'augment': {'local_size': 16, 'num_local': 4, 'use_blur': False},
    },
    guessing=lambda m, rows: guessing.among(m.head.out_dim),
    tiny=Tiny(
      initial_loss=math.log(64),
      learning_rate=0.005,
      method={'mask_ratio': 0.5, 'momentum': 0.9},
      # Wide, so that cosines of random features are small.
      head={'hidden_dim': 32, 'bottleneck_dim': 256, 'out_dim': 64},
      encoder={**_TINY_VIT, 'drop_path': 0.2},
    ),
  ),
  'nnclr': Entry(
    make=NNCLR,
    head=nnclr_projector,
    recipe='simclr',
    config='nnclr_photos',
    num_views=2,
    pair=True,
    small={
      **_SMALL_SIMCLR,
      'method': {'queue_size': 1024, 'predictor_dim': 1024},
      'head': {'name': 'nnclr', 'hidden_dim': 512, 'out_dim': 128},
    },
    few={'method': {'queue_size': 1024}},
    guessing=lambda m, rows: guessing.among(rows),
    tiny=Tiny(
      initial_loss=math.log(16),
      method={'temperature': 1.0, 'queue_size': 48, 'predictor_dim': 32},
      head={'num_layers': 2, 'hidden_dim': 32, 'out_dim': 16},
    ),
  ),
  'relative_patch': Entry(
    make=RelativePatch,
    recipe='patches',
    config='relative_patch_photos',
    vit={'position': 'sincos_mae'},
    small={'method': {'patch_size': 12, 'gap': 4, 'jitter': 1}},
    panel='puzzles.relative_patch_panel',
    guessing=lambda m, rows: guessing.among(8),
    any_size=False,
    tiny=Tiny(
      initial_loss=math.log(8),
      tolerance=0.05,
      learning_rate=0.05,
      method={
        'patch_size': 4,
        'gap': 2,
        'jitter': 1,
        'embed_dim': 8,
        'hidden_dim': 16,
      },
    ),
  ),
  'rotation': Entry(
    make=Rotation,
    recipe='crop_flip',
    config='rotation_photos',
    panel='puzzles.rotation_panel',
    guessing=lambda m, rows: guessing.among(4),
    tiny=Tiny(initial_loss=math.log(4), tolerance=0.05, learning_rate=0.05),
  ),
  'siglip': Entry(
    make=SigLIP,
    head=functools.partial(models.Projection, use_bias=True),
    text_encoder='siglip_b',
    recipe='siglip',
    config='siglip_photos',
    small={'text_encoder': {'name': 'siglip_b', **_SMALL_TEXT}},
    guessing=lambda m, rows: guessing.sigmoid(rows),
    few={'text_encoder': {'name': 'siglip_b', **_SMALL_TEXT}},
    optim=_SIGLIP_OPTIM,
    tiny=Tiny(
      # 10 + 4.5e-5 (B - 1), and up to 1 for a cosine of the pairs.
      initial_loss=10.0,
      tolerance=0.1,
      learning_rate=0.002,
      method={'chunk': 3, 'scale': 1.0},
      head={'out_dim': 8},
    ),
  ),
  'siglip2': Entry(
    make=SigLIP2,
    head=functools.partial(models.Projection, use_bias=True),
    text_encoder='siglip_b',
    recipe='siglip2',
    config='siglip2_photos',
    num_views=2,
    only_encoder='vit',
    encoder='vit_s16',
    vit={'pool': 'map', 'class_token': False, 'use_mask_token': True},
    defaults={'method': {'self_weight': _LATE}},
    small={
      'method': {'self_weight': _LATE, 'num_prototypes': 4096},
      'text_encoder': {'name': 'siglip_b', **_SMALL_TEXT},
      'augment': {'local_size': 16, 'num_local': 4, 'use_blur': False},
    },
    few={
      'method': {'self_weight': _LATE, 'num_prototypes': 4096},
      'text_encoder': {'name': 'siglip_b', **_SMALL_TEXT},
    },
    optim=_SIGLIP2_OPTIM,
    tiny=Tiny(
      # SigLIP's, 32 words whose logits have the variance 1, and 64 prototypes.
      initial_loss=10 + math.log(32) + 0.5 + 1.25 * math.log(64),
      tolerance=0.1,
      learning_rate=0.002,
      method={
        'chunk': 3,
        'scale': 1.0,
        'self_weight': 1.0,
        'num_prototypes': 64,
        'hidden_dim': 32,
      },
      head={'out_dim': 8},
      encoder={**_TINY_VIT, 'drop_path': 0.2},
    ),
  ),
  'simclr': Entry(
    make=SimCLR,
    head=models.SimCLRHead,
    recipe='simclr',
    config='quickstart',
    num_views=2,
    pair=True,
    small=_SMALL_SIMCLR,
    guessing=lambda m, rows: guessing.among(2 * rows - 1),
    vit_optim=_SIMCLR_OPTIM,
    tiny=Tiny(
      initial_loss=math.log(31),
      learning_rate=0.2,
      method={'temperature': 1.0},
      head={'num_layers': 2, 'out_dim': 16},
    ),
  ),
  'simmim': Entry(
    make=SimMIM,
    recipe='crop_flip',
    config='simmim_photos',
    only_encoder='vit',
    encoder='vit_s16',
    vit={
      'position': 'relative',
      'layer_scale': 0.1,
      'use_mask_token': True,
      'pool': 'avg',
      'fc_norm': False,
    },
    optim=_SIMMIM_OPTIM,
    any_size=False,
    defaults={'augment': {'scale': (0.67, 1.0)}},
    small={'method': {'mask_size': 8}},
    tiny=Tiny(
      # Mean of the pixels, which are not normalised.
      initial_loss=0.5,
      learning_rate=0.1,
      method={'mask_size': 8, 'mask_ratio': 0.5},
      encoder={**_TINY_VIT, 'drop_path': 0.2},
    ),
  ),
  'simsiam': Entry(
    make=SimSiam,
    head=simsiam_projector,
    recipe='moco_v2',
    config='simsiam_photos',
    num_views=2,
    pair=True,
    small={
      **_SMALL_SIMCLR,
      'method': {'predictor_dim': 128},
      'head': {'name': 'simsiam', 'hidden_dim': 512, 'out_dim': 512},
    },
    tiny=Tiny(
      # Predictions that have nothing to do with their targets.
      initial_loss=0.0,
      method={'predictor_dim': 8},
      head={'num_layers': 2, 'hidden_dim': 32, 'out_dim': 64},
    ),
  ),
  'supervised': Entry(
    make=Supervised,
    recipe='simclr',
    config='supervised_photos',
    small=_SMALL_SIMCLR,
    guessing=lambda m, rows: guessing.among(m.num_classes),
    tiny=Tiny(
      initial_loss=math.log(10),
      tolerance=0.01,
      learning_rate=0.05,
      method={'num_classes': 10},
    ),
  ),
  'swav': Entry(
    make=SwAV,
    head=models.MLPHead,
    recipe='swav',
    config='swav_photos',
    num_views=2,
    defaults={
      'optim': {'rules': ({'match': 'prototypes', 'freeze_epochs': 1},)},
    },
    small={
      'method': {'num_prototypes': 300},
      'head': {'name': 'swav', 'hidden_dim': 512},
      'augment': {'local_size': 16, 'num_local': 4, 'use_blur': False},
    },
    few={'method': {'num_prototypes': 300}},
    guessing=lambda m, rows: guessing.among(m.num_prototypes),
    tiny=Tiny(
      initial_loss=math.log(12),
      method={'num_prototypes': 12, 'queue_size': 24},
      # Wide, so that cosines of random features are small.
      head={'hidden_dim': 32, 'out_dim': 256},
    ),
  ),
  'vicreg': Entry(
    make=VICReg,
    head=expander,
    recipe='byol',
    config='vicreg_photos',
    num_views=2,
    pair=True,
    small={
      **_SMALL_SIMCLR,
      'head': {'name': 'vicreg', 'hidden_dim': 512, 'out_dim': 512},
    },
    # All projections the same: two hinges, halved, at 1 - sqrt(1e-4).
    guessing=lambda m, rows: 0.99 * m.variance,
    tiny=Tiny(
      # ReLU of N(0, 1) has variance 0.341, PyTorch's weights 1 / (3 fan_in), so
      # projections vary by 0.34: the hinge is 25 0.66. Crops of one picture
      # differ by less than 25 2 0.114 besides.
      initial_loss=16.6 + 2.8,
      tolerance=0.2,
      head={'num_layers': 2, 'hidden_dim': 32, 'out_dim': 16},
    ),
  ),
  'wmse': Entry(
    make=WMSE,
    head=wmse_projector,
    recipe='simclr',
    config='wmse_photos',
    num_views=2,
    small=_SMALL_SIMCLR,
    tiny=Tiny(
      # From 0, views that agree, to 2, views that share nothing; crops of one
      # picture lie between.
      initial_loss=1.0,
      tolerance=1.0,
      learning_rate=0.01,
      head={'hidden_dim': 32, 'out_dim': 4},
    ),
  ),
}
