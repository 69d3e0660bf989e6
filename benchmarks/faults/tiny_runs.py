"""Tiny runs of every method, as arguments of `jaxssl train`."""

from collections.abc import Mapping
import pathlib
from typing import Any

from jaxssl import methods
from jaxssl.config import schema

# What a run has that does not ask for another encoder; patches of 4 pixels, so
# that tiles hold some.
_VIT = {'name': 'vit_ti4', 'dim': 16, 'depth': 1, 'num_heads': 2}
_RESNET = {'name': 'resnet18', 'width': 0.0625}
# Two with BatchNorm.
_ON_RESNETS = ('colorization', 'moco_v2')
_TEXTS = {
  'text_encoder': {'dim': 16, 'depth': 1, 'num_heads': 2},
  'text': {'length': 16},
  'data': {'crops_per_picture': 2},
}
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


def _sections(name: str) -> dict[str, Mapping[str, Any]]:
  row = methods.METHODS[name]
  encoder = _RESNET if name in _ON_RESNETS else _VIT
  # What is a schedule by default stays one.
  schedules = row.defaults.get('method', {})
  numbers = {k: v for k, v in row.tiny.method.items() if k not in schedules}
  return {
    'encoder': row.tiny.encoder or encoder,
    'method': numbers,
    'head': row.tiny.head,
    **(_TEXTS if row.text_encoder else {}),
  }


def _settings(name: str) -> tuple[str, ...]:
  """Returns what makes a run of a method tiny, as arguments."""
  return tuple(
    f'--config.{section}.{key}={value}'
    if key != 'name'
    else f'--{section}={value}'
    for section, keys in _sections(name).items()
    for key, value in keys.items()
  )


# The dVAE first: others need what it exports.
METHODS = {
  name: _settings(name)
  for name in sorted(methods.METHODS, key=lambda name: name != 'dvae')
}


def arguments(
  method: str, workdir: pathlib.Path, tokenizer: pathlib.Path
) -> list[str]:
  """Returns the command of a run.

  Args:
    method: key of `METHODS`.
    workdir: of the run.
    tokenizer: the `export` folder of a dVAE run, for methods with codes
      or a teacher.
  """
  takes_text = methods.METHODS[method].text_encoder is not None
  data = 'photos' if takes_text else 'digits'
  needs_codes = schema.takes_codebook(method)
  codes = [f'--config.method.tokenizer={tokenizer}'] if needs_codes else []
  if schema.takes_teacher(method):
    # It has no patch features.
    codes = [f'--config.method.teacher={tokenizer}']
    codes += ['--config.method.patch_weight=0.0']
  return [
    'train',
    f'--workdir={workdir}',
    f'--method={method}',
    f'--data={data}',
    *METHODS[method],
    *_LENGTH,
    *codes,
  ]
