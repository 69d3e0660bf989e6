"""The image tokenizer of DALL-E on ImageNet; BEiT builds on it.

Paper: Ramesh et al. 2021, https://arxiv.org/abs/2102.12092 (appendix A).

    jaxssl train --config configs/dvae_imagenet.py --workdir runs/dvae

Differs from the paper: ImageNet for 250 million pictures and 150 000 steps for
3 million; both schedules end with the run; the weight of the KL term rises
linearly; no average of the weights.
Hardware: the authors used 64 V100 with 8 pictures each; hours not measured.
Arithmetic (`jaxssl plan`): 1724 GFLOP an image, 93 H100 hours at 40 % of peak.
Expected: no number is published for ImageNet.
Measured: not run.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  """Returns the config."""
  return ConfigDict(
    {
      'method': {
        'name': 'dvae',
        'temperature': {'name': 'cosine', 'start': 1.0, 'end': 1 / 16},
        'kl_weight': {
          'name': 'cosine',
          'start': 6.6,
          'end': 6.6,
          'warmup_steps': 5000,
        },
      },
      'encoder': {'name': 'dvae', 'remat': True, 'dtype': 'bfloat16'},
      'augment': {'name': 'dvae', 'size': 256},
      'data': {'name': 'imagenet2012'},
      'input': {'crop': 'host', 'image_size': 256},
      'optim': {
        'name': 'adamw',
        'learning_rate': {'name': 'cosine', 'start': 1e-4, 'end': 1.25e-6},
        'lr_scaling': 'none',
        'weight_decay': 1e-4,
      },
      'train': {'steps': 150_000, 'batch_size': 512},
      'eval': {'steps': 0},
    }
  )
