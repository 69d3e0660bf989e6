"""Sources of pictures and the input pipeline.

Importing this package does not import TensorFlow; reading batches does.
"""

from jaxssl.data.arrays import Arrays
from jaxssl.data.fake import fake_batches
from jaxssl.data.folder import Folder
from jaxssl.data.mixture import Mixture
from jaxssl.data.pipeline import TrainBatches, eval_batches, train_batches
from jaxssl.data.sources import SOURCES, make_source
from jaxssl.data.tfds_source import Tfds

__all__ = [
  'SOURCES',
  'Arrays',
  'Folder',
  'Mixture',
  'Tfds',
  'TrainBatches',
  'eval_batches',
  'fake_batches',
  'make_source',
  'train_batches',
]
