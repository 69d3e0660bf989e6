"""DINOv3's high-resolution stage, ViT-L/16, ImageNet, 30,000 steps of 2048.

Paper: Siméoni et al. 2025, https://arxiv.org/abs/2508.10104 (section 5.1);
settings of dinov3_vit7b16_high_res_adapt.yaml of facebookresearch/dinov3, with
the encoder, the heads and the data of `dinov2_vit_l16_imagenet`, from whose
weights it starts. The anchor is that encoder as it was; it sees 768 pixels of
the crops of which the student sees 512.

    jaxssl train --config dinov2_vit_l16_imagenet --workdir runs/dinov2
    jaxssl train --config dinov3_vit_l16_imagenet --workdir runs/dinov3 \\
      --config.train.init_encoder=runs/dinov2/export

For the Gram stage itself, which comes before: `--config.augment.size=256`
`--config.augment.gram_size=512`, a weight of 2, `method.gram_start=10000`,
`gram_every=10000`, `gram_updates=3`.

Differs: one size of crops, where theirs mix 512 and 768 with local crops of 112
to 336; heads start anew, so the encoder waits for them for 1,000 steps; local
crops count as the others, theirs half; weight decay has no rate of its own; the
authors train 7 billion parameters on 1,689 million pictures.

Data: `imagenet2012` as TFDS prepares it (array_record for fast random access).
Hardware: not measured.
Expected: unknown; the authors publish no figure for this encoder and data.
Measured: not run.
"""

from ml_collections import ConfigDict

_BLOCKS, _LAYER_DECAY = 24, 0.98
_EPOCH = 1000  # steps, not a pass over the data
# 1.25e-5, times 4 sqrt(2048 / 1024).
_RATE = 5e-5 * 2**0.5


def get_config() -> ConfigDict:
  """Returns the config."""
  return ConfigDict(
    {
      'method': {
        'name': 'dinov3',
        'teacher_temperature': 0.07,
        'momentum': 0.999,
        'koleo_group': 16,
        'gram_weight': 1.5,
      },
      'head': {'name': 'dinov3', 'out_dim': 65536},
      'encoder': {
        'name': 'vit_l16',
        'position': 'rope',
        'rope_rescale': 2.0,
        'layer_scale': 1e-5,
        'drop_path': 0.3,
        'drop_path_uniform': True,
        'use_mask_token': True,
        'dtype': 'bfloat16',
      },
      'augment': {
        'name': 'dinov3',
        'size': 512,
        'gram_size': 768,
        'local_size': 112,
      },
      'data': {'name': 'imagenet2012'},
      'input': {'crop': 'host', 'image_size': 512},
      'optim': {
        'name': 'adamw',
        'learning_rate': {
          'name': 'cosine',
          'start': _RATE,
          'end': _RATE,
          'warmup_steps': 10 * _EPOCH,
        },
        'lr_scaling': 'none',
        'b2': 0.99,
        'weight_decay': 0.04,
        'exclude': 'ndim<=1',
        'layer_decay': _LAYER_DECAY,
        'rules': (
          {
            'match': 'patch_embed',
            # A fifth of what layer_decay leaves of it.
            'learning_rate': 0.2 * _LAYER_DECAY ** (_BLOCKS + 1),
          },
        ),
        'clip_norm': 30.0,
        'freeze_steps': _EPOCH,
      },
      'train': {'steps': 30 * _EPOCH, 'batch_size': 2048},
      'eval': {'steps': 5000, 'split': 'validation'},
    }
  )
