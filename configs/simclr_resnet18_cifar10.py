"""SimCLR, ResNet-18 with CIFAR stem, CIFAR-10: the authors' small recipe.

Paper: Chen et al. 2020, https://arxiv.org/abs/2002.05709, appendix B.9; the
numbers are those of the README of google-research/simclr.

    jaxssl train --config configs/simclr_resnet18_cifar10.py --workdir runs/c10
    jaxssl eval knn linear --workdir runs/c10

Other data of the same shape:

    --config.data.name=NAME --config.data.data_dir=DIR   (a prepared TFDS set)

Hardware: one GPU; hours not measured. On two CPU cores an epoch takes hours;
try `--config.encoder.width=0.25 --config.train.epochs=1`.
Expected: about 91 % linear accuracy (the authors' README).
Measured: not run.
"""

from ml_collections import ConfigDict


def get_config() -> ConfigDict:
  """Returns the config."""
  return ConfigDict(
    {
      'method': {'name': 'simclr', 'temperature': 0.5},
      'head': {'name': 'simclr', 'num_layers': 3, 'out_dim': 128},
      'encoder': {
        'name': 'resnet18',
        'stem': 'cifar',
        'zero_init_residual': True,
      },
      'augment': {'name': 'simclr_cifar', 'size': 32, 'strength': 0.5},
      'data': {'name': 'cifar10'},
      'input': {'crop': 'device', 'image_size': 32},
      'optim': {
        'name': 'lars_simclr',
        'learning_rate': {'name': 'cosine', 'start': 1.0, 'warmup_epochs': 10},
        'lr_scaling': 'linear',
        'exclude': 'ndim<=1',
        # The authors' loss is twice the paper's, which is ours. LARS makes the
        # same steps with half their weight decay (1e-4), and the parameters
        # that it excludes need twice the rate.
        'weight_decay': 5e-5,
        'rules': ({'match': '(bias|scale)$', 'learning_rate': 2.0},),
      },
      'train': {'epochs': 1000, 'batch_size': 512},
      'eval': {'steps': 2000},
    }
  )
