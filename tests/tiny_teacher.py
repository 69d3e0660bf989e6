"""A vision transformer of one block at random weights, in a folder."""

import functools
import tempfile

import jax
import numpy as np

from jaxssl import models
from jaxssl.augment.preprocessing import usual
from jaxssl.methods.teacher import Teacher
from jaxssl.weights.exported import ExportedEncoder, save_encoder
from jaxssl.weights.teacher import load_teacher
from tests.models import timm_reference

# Of patches that no student of the tests has.
SECTION = {'name': 'vit_ti8', 'dim': 24, 'depth': 1, 'num_heads': 2}


@functools.lru_cache
def tiny_teacher_folder(channels: int = 3) -> str:
  """Returns the folder, the same one in a process."""
  encoder = models.make_encoder(**SECTION)
  images = np.zeros((1, 16, 16, channels), np.float32)
  variables = timm_reference.random_variables(encoder, images)
  rule = usual(16, mean=(0.5, 0.4, 0.3), std=(0.3, 0.2, 0.2))
  if channels != 3:
    mean, std = (0.5,) * channels, (0.2,) * channels
    rule = usual(16, channels=channels, mean=mean, std=std)
  exported = ExportedEncoder(
    section=SECTION,
    variables=jax.tree.map(np.asarray, variables),
    preprocessing=rule,
    step=0,
    config_hash='0',
  )
  return str(save_encoder(tempfile.mkdtemp(), exported))


@functools.lru_cache
def tiny_teacher(channels: int = 3) -> Teacher:
  """Returns the teacher in that folder."""
  return load_teacher(tiny_teacher_folder(channels))
