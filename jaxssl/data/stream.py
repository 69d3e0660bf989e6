"""Batches of rows from a tf.data graph, mended where records are unreadable.

For files, and for crops on the host; whole pictures of pixels have `threads`.
The graph decodes rows in parallel and in order, and leaves out those that fail.
`Reader` sees from the positions which are missing and makes them one by one in
Python, so that a broken file costs a moment and nothing else.
"""

from collections.abc import Callable, Iterator
import functools
import os
import time
from typing import Any

import numpy as np

from jaxssl.data import decode
from jaxssl.data.decode import UnreadableError
from jaxssl.data.optional import tensorflow
from jaxssl.data.rows import Faults, Plan
from jaxssl.errors import UserError

# Steps that the graph may plan ahead of the step that is waited for, besides
# those it prefetches. It bounds the search where nothing at all is readable.
_LEAD = 16

# Arrays by name, and a tuple of arrays, one per view: `pictures`.
Rows = dict[str, Any]


class Reader:
  """Rows of consecutive steps.

  Args:
    plan: how to make a row.
    positions: step to the int64 [b] stream positions of its rows, increasing.
    first_step: first step that will be asked for.
    last_step: first step that will not be asked for.
    faults: where unreadable records are noted.
    replace: take the next readable record in place of an unreadable one; if
      False its pixels are zeros and its index is -1.
    prefetch: batches to hold ready.
    num_threads: threads that decode; None for one a core.
  """

  def __init__(
    self,
    plan: Plan,
    positions: Callable[[int], np.ndarray],
    *,
    first_step: int,
    last_step: int,
    faults: Faults,
    replace: bool,
    prefetch: int,
    num_threads: int | None,
  ):
    self._plan, self._positions, self._faults = plan, positions, faults
    self._step, self._last_step = first_step, last_step
    self._replace = replace
    self._prefetch = prefetch
    self._threads = num_threads or len(os.sched_getaffinity(0))
    self._rows = _RowMaker(plan)
    self._pending: list[Rows] = []
    self._iterator: Iterator[Rows] | None = None
    self.wait_seconds = 0.0

  def read(self) -> Rows:
    """Returns the rows of the next step.

    Returns:
      `label` int32 [b], `index` and `position` int64 [b], `pictures`: tuple of
      uint8 [b, S_v, S_v, 3], with bands uint16 of C channels; `text` int32
      [b, L] if the plan has it.

    Raises:
      UserError: if faults are strict, or no record can be read.
    """
    start = time.perf_counter()
    rows = self._assemble(self._positions(self._step))
    self._step += 1
    self.wait_seconds += time.perf_counter() - start
    return rows

  def close(self) -> None:
    """Stops the threads and drops what was prefetched."""
    self._iterator, self._pending = None, []

  def _assemble(self, wanted: np.ndarray) -> Rows:
    while not self._pending or self._pending[-1]['position'][-1] < wanted[-1]:
      if not self._pull():
        break
    if len(self._pending) == 1 and np.array_equal(
      self._pending[0]['position'], wanted
    ):
      return self._pending.pop()
    return self._mend(wanted)

  def _pull(self) -> bool:
    iterator = self._iterator
    if iterator is None:
      iterator = self._dataset(self._step).as_numpy_iterator()
      self._iterator = iterator
    chunk = next(iterator, None)
    if chunk is None:
      # The graph has searched far ahead without a readable row. It starts again
      # behind this step, which is made in Python.
      self._iterator = None
      return False
    self._pending.append(chunk)
    return True

  def _mend(self, wanted: np.ndarray) -> Rows:
    rest = []
    found = {}
    for chunk in self._pending:
      for row, position in enumerate(chunk['position'].tolist()):
        found[position] = (chunk, row)
    rows = [
      _row(*found[p]) if p in found else self._make(p) for p in wanted.tolist()
    ]
    if self._iterator is not None:
      rest = [c for c in self._pending if c['position'][-1] > wanted[-1]]
    self._pending = rest
    return _stack(rows)

  def _make(self, position: int) -> Rows:
    """Makes the row at a position in Python, or the one that replaces it."""
    _, index = self._plan.locate(np.array([position]))
    index = first = int(index[0])
    for _ in range(self._plan.source.num_examples):
      if index not in self._faults:
        try:
          row = self._rows.make(position, {first: index})
        except UnreadableError as error:
          self._faults.add(index, str(error))
        else:
          if index != first:
            self._faults.replacement[first] = index
          return row
      if not self._replace:
        return self._rows.blank(position)
      index = (index + 1) % self._plan.source.num_examples
    raise UserError(f'{self._plan.source.name}: not one record can be read')

  def _dataset(self, first_step: int) -> Any:
    tf = tensorflow()
    ahead = _LEAD + self._prefetch

    def near(step: np.int64) -> np.bool_:
      return np.bool_(step < self._step + ahead)

    def is_near(step: Any) -> Any:
      return tf.ensure_shape(tf.numpy_function(near, [step], tf.bool), [])

    # AutoGraph would rewrite the Python below; none of it needs that.
    plain = tf.autograph.experimental.do_not_convert
    data = tf.data.Dataset.range(first_step, self._last_step)
    data = data.take_while(plain(is_near))
    data = data.map(plain(self._fetch))
    data = data.prefetch(1).unbatch()
    data = data.map(
      plain(self._render),
      num_parallel_calls=self._threads,
      deterministic=True,
    )
    data = data.ignore_errors()
    data = data.batch(len(self._positions(first_step)))
    return data.prefetch(self._prefetch).with_options(self._options())

  def _options(self) -> Any:
    tf = tensorflow()
    options = tf.data.Options()
    options.deterministic = True
    options.autotune.enabled = False
    options.threading.private_threadpool_size = self._threads
    options.threading.max_intra_op_parallelism = 1
    return options

  def _fetch(self, step: Any) -> dict[str, Any]:
    tf = tensorflow()
    pixels = self._plan.source.content == 'pixels'
    kinds = {
      'content': tf.uint8 if pixels else tf.string,
      'label': tf.int32,
      'position': tf.int64,
      'index': tf.int64,
      'key': tf.int64,
    }
    if self._plan.encode_text is not None:
      kinds['text'] = tf.int32

    def fetch(step: np.int64) -> list[np.ndarray]:
      rows = self._plan.fetch(
        self._positions(int(step)), replacement=self._faults.replacement
      )
      return [rows[name] for name in kinds]

    values = tf.numpy_function(fetch, [step], list(kinds.values()))
    rows = dict(zip(kinds, values, strict=True))
    for name in ('label', 'position', 'index'):
      rows[name].set_shape([None])
    rows['content'].set_shape([None, None, None, 3] if pixels else [None])
    rows['key'].set_shape([None, None, 2])
    if 'text' in rows:
      rows['text'].set_shape([None] * (2 if self._plan.captions == 1 else 3))
    return rows

  def _render(self, row: dict[str, Any]) -> dict[str, Any]:
    content, key = row.pop('content'), row.pop('key')
    return {**row, 'pictures': self._plan.render(content, key)}


class _RowMaker:
  """Makes single rows in Python, at leisure and with a reason if it fails."""

  def __init__(self, plan: Plan):
    self._plan = plan
    # Graphs, because an eager numpy_function loses zero bytes at the end of a
    # string.
    self._render = functools.cache(self._graph)

  def _graph(self, from_pixels: bool) -> Any:
    tf = tensorflow()
    if from_pixels:
      channels = self._plan.shapes[0][2]
      content = tf.TensorSpec([None, None, channels], self._plan.dtype)
    else:
      content = tf.TensorSpec([], tf.string)
    return tf.function(
      self._plan.render_pixels if from_pixels else self._plan.render,
      autograph=False,
      input_signature=[content, tf.TensorSpec([None, 2], tf.int64)],
    )

  def make(self, position: int, replacement: dict[int, int]) -> Rows:
    """Returns a batch of one row.

    Raises:
      UnreadableError: if neither TensorFlow nor Pillow can decode the record.
    """
    try:
      rows = self._plan.fetch(np.array([position]), replacement=replacement)
    except OSError as error:
      raise UnreadableError(str(error)) from error
    content, key = rows.pop('content')[0], rows.pop('key')[0]
    if self._plan.source.content == 'pixels':
      pictures = self._render(True)(content, key)
    else:
      pictures = self._decode(content, key)
    return {**rows, 'pictures': tuple(p.numpy()[None] for p in pictures)}

  def _decode(self, content: Any, key: Any) -> Any:
    """Renders an encoded picture as the graph does, or else from Pillow."""
    tf = tensorflow()
    pixels = unreadable = None
    encoded = self._read(content)
    try:
      pixels = self._plan.decode(encoded)
    except UnreadableError as error:
      # For other formats the graph asks Pillow too, but TensorFlow prints the
      # traceback of what fails in Python.
      if self._plan.bands or not decode.is_plain_jpeg(encoded):
        raise
      unreadable = error
    if self._plan.bands:
      return self._render(True)(pixels, key)
    try:
      return self._render(False)(content, key)
    except (tf.errors.OpError, UnicodeDecodeError) as error:
      # TensorFlow gives up on some files that Pillow reads. Its message may
      # quote the bytes of the file, and then it is no text that Python takes.
      if unreadable is not None:
        raise unreadable from error
      return self._render(True)(pixels, key)

  def _read(self, content: Any) -> bytes:
    if self._plan.source.content != 'paths':
      return bytes(content)
    if not content:
      return b''
    tf = tensorflow()
    try:
      return tf.io.read_file(content).numpy()
    except tf.errors.OpError as error:
      raise UnreadableError(error.message) from error

  def blank(self, position: int) -> Rows:
    """Returns a batch of one row that stands for nothing."""
    # Only where nothing is replaced, which is evaluation, without texts.
    return {
      'label': np.full(1, -1, np.int32),
      'index': np.full(1, -1, np.int64),
      'position': np.array([position]),
      'pictures': tuple(
        np.zeros((1, *shape), self._plan.dtype) for shape in self._plan.shapes
      ),
    }


def _row(chunk: Rows, row: int) -> Rows:
  pictures = tuple(p[row : row + 1] for p in chunk['pictures'])
  return {name: chunk[name][row : row + 1] for name in _flat(chunk)} | {
    'pictures': pictures
  }


def _stack(rows: list[Rows]) -> Rows:
  stacked = {
    name: np.concatenate([row[name] for row in rows]) for name in _flat(rows[0])
  }
  views = zip(*(row['pictures'] for row in rows), strict=True)
  return stacked | {'pictures': tuple(np.concatenate(v) for v in views)}


def _flat(rows: Rows) -> list[str]:
  """Names of all that is one array."""
  return [name for name in rows if name != 'pictures']
