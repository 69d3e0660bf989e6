"""Images for evaluations that train on them: batches, labels, features."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from jaxssl import data
from jaxssl.augment.view import Augment
from jaxssl.data.source import Source
from jaxssl.errors import UserError
from jaxssl.evals import features as features_lib
from jaxssl.evals import labels
from jaxssl.weights.exported import ExportedEncoder

# Pictures of up to this side are small enough to be cropped on the device.
_SMALL = 64
_CHUNK = 4096


def train_batches(
  source: Source,
  augment: Augment,
  *,
  batch_size: int,
  seed: int,
  first_step: int = 0,
) -> data.TrainBatches:
  """Returns the endless batches of this process.

  Args:
    source: images with labels.
    augment: its crops are made by the host, unless the images are small.
    batch_size: rows of the global batch, over all processes.
    seed: seed of the order and the crops.
    first_step: number of the first batch.
  """
  return data.train_batches(
    source,
    batch_size=batch_size,
    seed=seed,
    first_step=first_step,
    process_index=jax.process_index(),
    process_count=jax.process_count(),
    **pictures(augment),
  )


def pictures(augment: Augment) -> dict[str, Any]:
  """Returns how pictures are read, and cut: here, or on the device."""
  size, bands = augment.crops[0].size, augment.bands
  if size <= _SMALL:
    return {'image_size': size, 'bands': bands}
  return {'crops': augment.crops, 'bands': bands}


def check_batch(batch_size: int) -> None:
  """Raises `UserError` for a batch that does not divide over the devices."""
  devices = jax.device_count()
  if batch_size < 1 or batch_size % devices:
    raise UserError(
      f'batch_size {batch_size} does not divide over {devices} devices; use '
      f'for example {max(batch_size // devices, 1) * devices}'
    )


def labels_of(source: Source) -> np.ndarray:
  """Returns the labels of all records, int32 [n], without decoding them."""
  numbers = np.arange(source.num_examples)
  parts = [
    source.fetch(numbers[first : first + _CHUNK]).label
    for first in range(0, len(numbers), _CHUNK)
  ]
  return np.concatenate(parts).astype(np.int32)


def features_of(
  exported: ExportedEncoder,
  source: Source,
  split: str,
  *,
  class_names: Sequence[str] | None,
) -> features_lib.Features:
  """Returns the features of the images whose label is known.

  Args:
    exported: the encoder; its images are cut as in every evaluation.
    source: images with labels.
    split: its name, for messages.
    class_names: names of the classes in whose order the labels are wanted.
  """
  found = features_lib.extract(
    features_lib.encode_fn(
      exported.encoder, exported.variables, exported.normalize
    ),
    data.eval_batches(
      source, batch_size=256, preprocessing=exported.preprocessing
    ),
    class_names=source.class_names or (),
  )
  return labels.matched(labels.known(found, split), class_names or ())


def num_classes_of(train_source: Source, test_source: Source) -> int:
  """Returns the number of classes; refuses a test split before the training.

  Raises:
    UserError: see `labels.matched` and `labels.require_several`.
  """
  return labels.of_both(*map(_without_features, (train_source, test_source)))[2]


def _without_features(source: Source) -> features_lib.Features:
  """Returns the labels and names of a source, as features of no meaning."""
  found = labels_of(source)
  return features_lib.Features(
    np.zeros((len(found), 1), np.float32),
    found,
    tuple(source.class_names or ()),
  )
