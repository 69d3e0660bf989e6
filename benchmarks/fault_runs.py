"""Tiny runs of every method, as arguments of `jaxssl train`."""

import pathlib

_VIT = (
  '--encoder=vit_ti8',
  '--config.encoder.dim=16',
  '--config.encoder.depth=1',
  '--config.encoder.num_heads=2',
)
_RESNET = ('--encoder=resnet18', '--config.encoder.width=0.0625')
_HEAD = ('--config.head.num_layers=2', '--config.head.out_dim=8')
_MOCO = ('--config.method.queue_size=64', '--config.head.out_dim=8')
_PAIRS = (
  *_VIT,
  '--config.text_encoder.dim=16',
  '--config.text_encoder.depth=1',
  '--config.text_encoder.num_heads=2',
  '--config.head.out_dim=8',
  '--config.text.length=16',
  '--config.data.crops_per_picture=2',
)
STEPS = 12
CHECKPOINT_STEPS = 3
_LENGTH = (
  f'--config.train.steps={STEPS}',
  f'--config.train.checkpoint_steps={CHECKPOINT_STEPS}',
  '--config.train.keep=2',
  '--config.train.batch_size=16',
  '--config.train.num_devices=1',
  '--config.train.log_steps=1',
  '--config.train.tensorboard=false',
  '--config.optim.learning_rate.warmup_epochs=0',
  '--config.eval.steps=6',
  '--config.eval.limit=32',
)

METHODS = {
  # First: BEiT needs what it exports.
  'dvae': (
    '--encoder=dvae',
    '--config.encoder.width=8',
    '--config.encoder.blocks_per_group=1',
    '--config.encoder.vocab_size=16',
    '--config.method.decoder_init_width=8',
  ),
  'simclr': (*_VIT, *_HEAD),
  'moco_v1': (*_VIT, *_MOCO),
  'moco_v2': (*_RESNET, *_MOCO),
  'moco_v3': (*_VIT, *_HEAD, '--config.head.hidden_dim=32'),
  'dino': (
    *_VIT,
    '--config.head.hidden_dim=32',
    '--config.head.bottleneck_dim=16',
    '--config.head.out_dim=64',
  ),
  'mae': (
    *_VIT,
    '--config.method.decoder_dim=16',
    '--config.method.decoder_depth=1',
    '--config.method.decoder_heads=2',
  ),
  'beit': (
    *_VIT,
    '--config.augment.size=32',
    '--config.input.image_size=64',
    '--config.data.size=64',
    '--config.method.num_masked=6',
    '--config.method.min_block=2',
  ),
  'rotation': _VIT,
  'jigsaw': _VIT,
  # Patches of 8 pixels, as the encoder's.
  'relative_patch': (
    *_VIT,
    '--config.method.patch_size=8',
    '--config.method.gap=2',
    '--config.method.jitter=1',
  ),
  'colorization': _RESNET,
  'supervised': (*_VIT, '--config.method.num_classes=10'),
  'clip': _PAIRS,
  'siglip': _PAIRS,
}


def arguments(
  method: str, workdir: pathlib.Path, tokenizer: pathlib.Path
) -> list[str]:
  """Returns the command of a run.

  Args:
    method: key of `METHODS`.
    workdir: of the run.
    tokenizer: the `export` folder of a dVAE run, for BEiT.
  """
  data = 'photos' if method in ('clip', 'siglip') else 'digits'
  codes = [f'--config.method.tokenizer={tokenizer}'] if method == 'beit' else []
  return [
    'train',
    f'--workdir={workdir}',
    f'--method={method}',
    f'--data={data}',
    *METHODS[method],
    *_LENGTH,
    *codes,
  ]
