"""Patch features in a folder of files, written as they are computed.

`patches-00000.npz`, ... hold `features` [n, h, w, D], `labels` int32 [n],
`index` int64 [n] and `names` [n] of n pictures each; `info.json` says what they
are and is there only if all are.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
import json
import pathlib
from typing import Any, Literal

import numpy as np

from jaxssl import atomic_file, finite, npz_file
from jaxssl.errors import UserError

Dtype = Literal['float32', 'float16']
INFO = 'info.json'
Arrays = dict[str, np.ndarray]


def write(
  out: pathlib.Path,
  encode: Callable[[Any], Any],
  batches: Iterable[Mapping[str, Any]],
  describe: Callable[[int], str],
  *,
  dtype: Dtype,
  shard_rows: int,
  info: Mapping[str, Any],
) -> tuple[int, tuple[int, ...]]:
  """Writes the patch features of a data set.

  Never more than one file and one batch are in memory. The folder appears at
  the end, whole.

  Args:
    out: folder to make.
    encode: images of a batch -> features [b, h, w, D].
    batches: evaluation batches, see `features.extract_records`.
    describe: number of a record to its name.
    dtype: type of the stored features.
    shard_rows: pictures in a file; the last one may have fewer.
    info: what `info.json` says besides.

  Returns:
    Number of pictures, and (h, w, D).

  Raises:
    UserError: if no picture can be read, a feature is not finite or does not
      fit into the type, or the folder cannot be written.
  """
  count, files, shape = 0, 0, ()
  with atomic_file.folder(out) as partial:
    rows = _rows(encode, batches, describe, dtype)
    for shard in _joined(rows, shard_rows):
      npz_file.write(partial / f'patches-{files:05}.npz', shard)
      count, files = count + len(shard['index']), files + 1
      shape = shard['features'].shape[1:]
    if not count:
      raise UserError(
        'there is no image to encode; the data set is empty, or not one '
        'picture can be read'
      )
    found = {'pictures': count, 'files': files, 'shape': shape, 'dtype': dtype}
    text = json.dumps({**found, **info}, indent=2) + '\n'
    atomic_file.write_text(partial / INFO, text)
  return count, shape


def _rows(
  encode: Callable[[Any], Any],
  batches: Iterable[Mapping[str, Any]],
  describe: Callable[[int], str],
  dtype: Dtype,
) -> Iterator[Arrays]:
  """Yields what is kept of each batch; rows that only fill it are not."""
  for batch in batches:
    mask = np.asarray(batch['mask'], bool)
    features = np.asarray(encode(batch['image']), np.float32)[mask]
    finite.require_rows(features.reshape(len(features), -1), 'patch features')
    index = np.asarray(batch['index'])[mask]
    yield {
      'features': _as_type(features, dtype),
      'labels': np.asarray(batch['label'], np.int32)[mask],
      'index': index,
      'names': np.array([describe(i) for i in index.tolist()], np.str_),
    }


def _as_type(features: np.ndarray, dtype: Dtype) -> np.ndarray:
  largest = float(abs(features).max(initial=0))
  if largest > float(np.finfo(dtype).max):
    raise UserError(
      f'a feature is {largest:.3g}, which {dtype} cannot hold; leave out '
      f'--dtype {dtype}'
    )
  return features.astype(dtype)


def _joined(rows: Iterator[Arrays], size: int) -> Iterator[Arrays]:
  """Yields so many rows at a time, whatever the batches."""
  kept: Arrays = {}
  for new in rows:
    kept = {
      name: np.concatenate([kept[name], new[name]]) if kept else new[name]
      for name in new
    }
    while len(kept['index']) >= size:
      yield {name: values[:size] for name, values in kept.items()}
      kept = {name: values[size:] for name, values in kept.items()}
  if kept and len(kept['index']):
    yield kept
