"""What is said before a run starts."""

import logging

import pytest

from jaxssl import build
from jaxssl.config import schema
from jaxssl.runs import outlook
from jaxssl.train.workdir import Workdir

# Of 256 pictures; the batch has 8.
COSINE = {'name': 'cosine', 'start': 0.5, 'end': 0.0, 'warmup_steps': 150}


@pytest.mark.parametrize(
  ('schedule', 'highest'), [(COSINE, '0.016'), (0.25, '0.0078')]
)
def test_the_highest_learning_rate_is_told(schedule, highest, tmp_path, caplog):
  sections = {
    'method': {'name': 'simclr', 'temperature': 0.2},
    'encoder': {'name': 'resnet18', 'width': 0.25, 'stem': 'cifar'},
    'augment': {'name': 'simclr_cifar', 'size': 8},
    'data': {'name': 'digits'},
    'optim': {'name': 'sgd', 'learning_rate': schedule},
    'train': {'steps': 300, 'batch_size': 8},
  }
  run = build.build(schema.complete(sections))
  with caplog.at_level(logging.INFO):
    outlook.tell(run, Workdir(tmp_path), 0)
  assert f'with a learning rate of up to {highest}.' in caplog.text
