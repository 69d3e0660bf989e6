"""Sources of pictures and the input pipeline.

Importing this package does not import TensorFlow; reading batches does, unless
they are whole pictures of pixels in memory (`threads`).
"""

from jaxssl.data.arrays import Arrays
from jaxssl.data.batch_shapes import batch_shapes
from jaxssl.data.captions import Captions
from jaxssl.data.chosen import Paths
from jaxssl.data.fake import fake_batches
from jaxssl.data.folder import Folder
from jaxssl.data.mixture import Mixture
from jaxssl.data.pipeline import (
  TrainBatches,
  check_captions,
  eval_batches,
  train_batches,
)
from jaxssl.data.sources import SOURCES, make_source, pair_source
from jaxssl.data.table import Table
from jaxssl.data.tfds_source import Tfds

__all__ = [
  'SOURCES',
  'Arrays',
  'Captions',
  'Folder',
  'Mixture',
  'Paths',
  'Table',
  'Tfds',
  'TrainBatches',
  'batch_shapes',
  'check_captions',
  'eval_batches',
  'fake_batches',
  'make_source',
  'pair_source',
  'train_batches',
]
