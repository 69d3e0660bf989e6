"""The smallest run that goes through every part, as arguments."""

import json
import pathlib

from jaxssl import cli

MODEL = (
  '--method=simclr',
  '--encoder=vit_ti8',
  '--config.encoder.dim=16',
  '--config.encoder.depth=1',
  '--config.encoder.num_heads=2',
  '--config.head.num_layers=2',
  '--config.head.out_dim=8',
)
LENGTH = (
  '--config.train.steps=4',
  '--config.train.batch_size=16',
  '--config.train.num_devices=1',
  '--config.train.log_steps=1',
  '--config.train.checkpoint_steps=2',
  '--config.train.tensorboard=false',
  '--config.optim.learning_rate.warmup_epochs=0',
  '--config.eval.steps=0',
  '--config.eval.limit=64',
)
DIGITS = ('--data=digits',)


def train_arguments(workdir: pathlib.Path, *more: str) -> list[str]:
  """Later arguments win over these."""
  data = () if any(a.startswith('--data') for a in more) else DIGITS
  return ['train', f'--workdir={workdir}', *MODEL, *LENGTH, *data, *more]


def jaxssl(*arguments: object) -> int:
  """The exit code of a command in this process."""
  return cli.main([str(argument) for argument in arguments])


def train(workdir: pathlib.Path, *more: str) -> int:
  return jaxssl(*train_arguments(workdir, *more))


def metrics(workdir: pathlib.Path) -> list[dict]:
  lines = (workdir / 'metrics.jsonl').read_text().splitlines()
  return [json.loads(line) for line in lines]


def files(folder: pathlib.Path) -> dict[str, tuple[int, int]]:
  """Everything below a folder, with size and time of change."""
  return {
    str(path): (path.stat().st_size, path.stat().st_mtime_ns)
    for path in sorted(folder.rglob('*'))
    if path.name != 'lock'
  }
