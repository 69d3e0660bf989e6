"""The tiny instance of every method, as its row says, and what it takes."""

from typing import Any

import numpy as np

from jaxssl import models
from jaxssl.augment import geometry
from jaxssl.augment.crop_spec import CropSpec
from jaxssl.augment.view import Augment, View
from jaxssl.config import schema
from jaxssl.methods import METHODS
from jaxssl.methods.base import Batch, Method
from tests.tiny import TinyEncoder
from tests.tiny_teacher import tiny_teacher
from tests.tiny_tokenizer import tiny_codebook

ROWS, SIZE = 16, 16
NUM_TOKENS, TEXT_LENGTH = 32, 6
VIEW = View(
  crop=CropSpec(size=SIZE, scale=(0.5, 1.0)),
  ops=(geometry.random_flip_left_right,),
)
# Of a method that sees its crops at two sizes.
LARGER_VIEW = View(
  crop=CropSpec(size=3 * SIZE // 2, scale=(0.5, 1.0)), size=SIZE
)
SMALL_VIEW = View(crop=CropSpec(size=SIZE // 2, scale=(0.2, 0.5)))
# Of a method whose recipe makes local views.
NUM_SMALL_VIEWS = 2


def make(name: str, encoder: Any = None, **changes: Any) -> Method:
  """Builds a method.

  Args:
    name: key of `METHODS`.
    encoder: instead of the one of the row, or of `TinyEncoder`.
    **changes: fields of the method that differ from those of the row.
  """
  row = METHODS[name]
  modules: dict[str, Any] = {'encoder': encoder or default_encoder(name)}
  if row.head:
    modules['head'] = row.head(**row.tiny.head)
  if row.text_encoder:
    modules['text_encoder'] = text_encoder(modules['encoder'])
  fields = {**row.tiny.method, **changes}
  if schema.takes_codebook(name):
    fields.setdefault('tokenizer', tiny_codebook())
  if schema.takes_teacher(name):
    fields.setdefault('teacher', tiny_teacher())
  return row.make(**modules, **fields)


def default_encoder(name: str) -> Any:
  """Returns the encoder that compiles fastest among those it can take."""
  row = METHODS[name]
  if not row.tiny.encoder:
    return TinyEncoder(**row.resnet)
  kept = row.vit if row.tiny.encoder['name'].startswith('vit') else {}
  return models.make_encoder(**kept, **row.tiny.encoder)


def vit(name: str, **fields: Any) -> Any:
  """Returns a vision transformer of two blocks, as the method wants it."""
  small = {'dim': 16, 'depth': 2, 'num_heads': 2}
  return models.make_encoder('vit_ti4', **small | METHODS[name].vit | fields)


def text_encoder(encoder: Any) -> Any:
  """Returns a text tower in the type of the image tower."""
  return models.make_text_encoder(
    'clip_512',
    vocab_size=NUM_TOKENS,
    length=TEXT_LENGTH,
    dim=16,
    depth=1,
    num_heads=2,
    dtype=np.dtype(getattr(encoder, 'dtype', 'float32')).name,
  )


def augment(name: str) -> Augment:
  """Returns what makes the views that the method needs."""
  row = METHODS[name]
  keys = schema.keys('augment', row.recipe)
  keeps_crops = 'gram_size' in keys
  views = (LARGER_VIEW if keeps_crops else VIEW,) * row.num_views
  if 'num_local' in keys:
    views += (SMALL_VIEW,) * NUM_SMALL_VIEWS
  return Augment(
    views=views,
    keep_pixels=row.needs_pixels,
    keep_crops=row.num_views if keeps_crops else 0,
  )


def smooth_batch() -> Batch:
  """Returns smooth pictures that differ: there is something to learn."""
  waves = np.random.default_rng(0).uniform(0.1, 1.0, (ROWS, 1, 1, 3))
  grid = np.arange(SIZE)[None, :, None, None]
  pictures = 127 * (1 + np.sin(waves * (grid + grid.swapaxes(1, 2))))
  return {
    'image': pictures.astype(np.uint8),
    'label': np.arange(ROWS, dtype=np.int32) % 4,
    'text': _texts(1),
  }


def noise_batch(lowest_label: int = 0) -> Batch:
  """Returns noise; labels from `lowest_label`, -1 for unknown, up to 3."""
  rng = np.random.default_rng(0)
  return {
    'image': rng.integers(0, 255, (ROWS, SIZE, SIZE, 3), np.uint8),
    'label': rng.integers(lowest_label, 4, ROWS, np.int32),
    'text': _texts(0),
  }


def _texts(seed: int) -> np.ndarray:
  shape = (ROWS, TEXT_LENGTH)
  rng = np.random.default_rng(seed)
  return rng.integers(1, NUM_TOKENS, shape, np.int32)
