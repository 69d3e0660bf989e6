"""Checkpoints: saved in the background, never half-read, never overwritten.

The one module that knows Orbax. A checkpoint is `checkpoints/<step>/` with two
items: `state`, a flat dict of named arrays (one copy of each, whatever the
compile mode), and `meta`, a small JSON object. The key `proof` of `meta` holds
the step, the checksums of all arrays, and a checksum of `meta` itself; what is
read is compared with it.
"""

from collections.abc import Generator, Mapping
import contextlib
import itertools
import json
import logging
import os
from typing import Any, NamedTuple

from etils import epath
import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import tensorstore as ts

from jaxssl import checksums
from jaxssl.errors import UserError
from jaxssl.parallel import processes
from jaxssl.paths import absolute, check_name, is_remote, make_path

PyTree = Any
# Each method had another word for its slow network, until all had one.
_SLOW = 'method_state.slow.'
_FORMERLY_SLOW = (
  'method_state.key.',
  'method_state.teacher.',
  'method_state.average.',
)
_log = logging.getLogger(__name__)


class Restored(NamedTuple):
  """What `Checkpoints.restore` returns.

  Attributes:
    step: number of finished steps.
    state: pytree like the abstract one that was asked for.
    meta: the JSON object that was saved with it.
    proved: whether the checkpoint says what it is, and is that. Those of
      earlier versions have no checksums.
  """

  step: int
  state: PyTree
  meta: dict[str, Any]
  proved: bool = True


class CheckpointError(UserError):
  """A checkpoint could not be written or read."""


class Checkpoints:
  """The checkpoints of one run.

  Attributes:
    directory: `workdir/checkpoints`.
  """

  def __init__(
    self,
    directory: str | os.PathLike[str],
    *,
    keep: int = 3,
    keep_every: int | None = None,
  ):
    """Opens (and makes) the directory.

    Args:
      directory: where the checkpoints are, also on `gs://`.
      keep: how many of the newest are kept.
      keep_every: besides, keep every step that this number divides.

    Raises:
      CheckpointError: if the directory cannot be made.
      UserError: if checkpoints cannot be kept under its name.
    """
    check_name(make_path(directory))
    self.directory = epath.Path(absolute(make_path(directory)))
    self._keep = keep
    self._keep_every = keep_every
    self._manager = self._open()

  def steps(self) -> list[int]:
    """Returns the steps of all complete checkpoints, oldest first."""
    return sorted(self._manager.all_steps())

  def save(self, step: int, state: PyTree, meta: Mapping[str, Any]) -> None:
    """Starts to save; returns as soon as the arrays are copied to the host.

    Args:
      step: number of finished steps.
      state: pytree of arrays, one copy of each (`Mode.get_state`).
      meta: small JSON object.

    Raises:
      CheckpointError: if this save, or the one before it in the background,
        fails (disk full, folder gone).
    """
    # A stop may be asked right after a step that was saved anyway.
    if step in self._manager.all_steps():
      return
    arrays = _named(state)
    # Of the arrays in memory: all that is written later must equal them.
    meta = _with_proof(meta, step, checksums.of_arrays(arrays))
    try:
      # Orbax would try for minutes, in threads that keep the process alive.
      # (In a store there is no folder before there is something in it.)
      if not (is_remote(self.directory) or self.directory.is_dir()):
        raise FileNotFoundError('the folder is gone')
      self._manager.save(
        step,
        args=ocp.args.Composite(
          state=ocp.args.StandardSave(arrays),
          meta=ocp.args.JsonSave(meta),
        ),
      )
    except Exception as error:
      raise self._save_failed(error) from error

  def wait(self) -> None:
    """Waits until the last save is on disk.

    Raises:
      CheckpointError: if it failed.
    """
    try:
      self._manager.wait_until_finished()
      self._manager.check_for_errors()
    except Exception as error:
      raise self._save_failed(error) from error

  def restore(self, abstract: PyTree, *, step: int | None = None) -> Restored:
    """Reads one checkpoint.

    Args:
      abstract: pytree of `jax.ShapeDtypeStruct` with shardings
        (`Mode.target`).
      step: step of the one to read; the newest by default.

    Returns:
      The state, of which each device has read its part.

    Raises:
      CheckpointError: if there is none, it is damaged or of another step, or
        its arrays are not those of `abstract`.
    """
    step = self._manager.latest_step() if step is None else step
    if step is None or step not in self._manager.all_steps():
      raise CheckpointError(
        f'no checkpoint {"" if step is None else f"of step {step} "}in '
        f'{self.directory}; there are: {self.steps() or "none"}'
      )
    meta, proof = self._read_meta(step)
    saved = self._saved_arrays(step, proof and proof['arrays'])
    targets = {
      _name_in(saved, name): leaf for name, leaf in _named(abstract).items()
    }
    self._check_arrays(step, targets, saved)
    with self._told_as_damage(step):
      restored = self._manager.restore(
        step,
        args=ocp.args.Composite(state=ocp.args.StandardRestore(targets)),
      )
    arrays = restored['state']
    leaves = jax.tree.map(
      _like, jax.tree.leaves(abstract), [arrays[n] for n in targets]
    )
    state = jax.tree.unflatten(jax.tree.structure(abstract), leaves)
    return Restored(step, state, meta, proved=proof is not None)

  def restore_newest_readable(self, abstract: PyTree) -> Restored | None:
    """Like `restore`, but falls back on older checkpoints, and says so.

    A damaged checkpoint is set aside as `<step>.damaged`, so that its step can
    be saved again and nothing is lost.

    Returns:
      None if there is no checkpoint at all.

    Raises:
      CheckpointError: if there are checkpoints and none can be read.
    """
    for step in reversed(self.steps()):
      try:
        return self.restore(abstract, step=step)
      # Nothing is damaged, and older ones are of the same other run.
      except CheckpointMismatchError:
        raise
      except CheckpointError as error:
        _log.warning('%s; using the one before it', error)
        self._set_aside(step)
    # A run that lost all of them must not start over unasked, now or later.
    if any(self.directory.glob('*.damaged*')):
      raise CheckpointError(
        f'none of the checkpoints in {self.directory} can be read; they are '
        'kept as *.damaged; start again in a new workdir'
      )
    return None

  def close(self) -> None:
    """Waits and frees the background threads.

    Raises:
      CheckpointError: if the last save failed.
    """
    try:
      self._manager.close()
    except Exception as error:
      raise self._save_failed(error) from error

  def _open(self) -> ocp.CheckpointManager:
    policies: list[ocp.checkpoint_managers.PreservationPolicy] = [
      ocp.checkpoint_managers.LatestN(self._keep)
    ]
    if self._keep_every:
      policies.append(ocp.checkpoint_managers.EveryNSteps(self._keep_every))
    # Never max_to_keep with best_fn: that deletes the newest checkpoint.
    options = ocp.CheckpointManagerOptions(
      preservation_policy=ocp.checkpoint_managers.AnyPreservationPolicy(
        policies
      ),
      enable_async_checkpointing=True,
    )
    handlers = {
      'state': ocp.StandardCheckpointHandler(),
      'meta': ocp.JsonCheckpointHandler(),
    }
    try:
      return ocp.CheckpointManager(
        self.directory, options=options, item_handlers=handlers
      )
    except OSError as error:
      raise CheckpointError(
        f'could not open {self.directory}: {_first_line(error)}'
      ) from error

  def _read_meta(
    self, step: int
  ) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Returns what was saved with the arrays, and what proves them, if any."""
    with self._told_as_damage(step):
      args = ocp.args.Composite(meta=ocp.args.JsonRestore())
      meta = dict(self._manager.restore(step, args=args)['meta'])
      proof = meta.pop('proof', None)
      if proof is None:
        _log.warning(
          '%s is of an earlier version, without checksums: whether it is whole '
          'cannot be proved',
          self.directory / str(step),
        )
      elif _with_proof(meta, proof['step'], proof['arrays'])['proof'] != proof:
        raise ValueError('its description is not what was saved')
      elif proof['step'] != step:
        raise ValueError(f'it is the checkpoint of step {proof["step"]}')
    return meta, proof

  def _saved_arrays(
    self, step: int, sums: Mapping[str, checksums.Sums] | None
  ) -> dict[str, str]:
    """Returns type and shape of each array of a whole checkpoint, by name."""
    with self._told_as_damage(step):
      _read_through(self.directory / str(step) / 'state', sums)
      metadata = self._manager.item_metadata(step).state
      return {name: _kind(leaf) for name, leaf in metadata.items()}

  def _check_arrays(
    self, step: int, targets: Mapping[str, Any], saved: Mapping[str, str]
  ) -> None:
    path = self.directory / str(step)
    differing = sorted(targets.keys() ^ saved.keys())
    if differing:
      raise CheckpointMismatchError(
        f'checkpoint {path} has {"an" if differing[0] in saved else "no"} '
        f'array {differing[0]!r}; it is of another method, encoder or optimizer'
      )
    for name, target in targets.items():
      if saved[name] != _kind(target):
        raise CheckpointMismatchError(
          f'checkpoint {path}: array {name!r} is {saved[name]}, this config '
          f'needs {_kind(target)}'
        )

  @contextlib.contextmanager
  def _told_as_damage(self, step: int) -> Generator[None]:
    try:
      yield
    except Exception as error:  # of many types
      raise CheckpointError(
        f'checkpoint {self.directory / str(step)} is damaged: '
        f'{_first_line(error)}'
      ) from error

  def _set_aside(self, step: int) -> None:
    # Orbax knows the step until its manager is opened anew.
    self._manager.close()
    names = (f'{step}.damaged{number or ""}' for number in itertools.count())
    free = (self.directory / name for name in names)
    target = next(path for path in free if not path.exists())
    processes.first_does(lambda: (self.directory / str(step)).rename(target))
    self._manager = self._open()

  def _save_failed(self, error: Exception) -> CheckpointError:
    steps = self.steps()
    last = f'step {steps[-1]}' if steps else 'none'
    return CheckpointError(
      f'could not save a checkpoint in {self.directory}: '
      f'{_first_line(error)}; last good checkpoint: {last}'
    )


class CheckpointMismatchError(CheckpointError):
  """A sound checkpoint of something else; older ones would not help."""


def _with_proof(
  meta: Mapping[str, Any], step: int, arrays: Mapping[str, checksums.Sums]
) -> dict[str, Any]:
  """Returns `meta` with what proves it and the arrays that lie beside it."""
  proof = {'step': step, 'arrays': dict(arrays)}
  # The same text for the same content, however its keys are ordered.
  text = json.dumps([dict(meta), proof], sort_keys=True)
  return {**meta, 'proof': {**proof, 'meta': checksums.of_bytes(text.encode())}}


def _read_through(
  item: epath.Path, sums: Mapping[str, checksums.Sums] | None
) -> None:
  """Reads a whole item once; raises at the first thing that is damaged.

  Orbax finds the damage too, but by then it has many reads under way, and
  those that end after the first error print tracebacks from their threads.
  """
  for path in (*item.glob('_sharding'), *item.glob('array_metadatas/*')):
    json.loads(path.read_text())
  store = ts.KvStore.open({'driver': 'ocdbt', 'base': _place(item)}).result()
  keys = [key.decode() for key in store.list().result()]
  names = [key.removesuffix('.zarray') for key in keys if 'zarray' in key]
  if not names:  # what a store reads as whose files are gone
    raise FileNotFoundError(f'no arrays in {item}')
  for name in names:
    spec = {'driver': 'zarr', 'kvstore': (store / name).spec().to_json()}
    # By default a chunk whose file is gone is read as zeros.
    store_of = ts.open(spec | {'fill_missing_data_reads': False}).result()
    array = np.asarray(store_of.read().result())
    if sums is not None and checksums.differ(array, sums[name.rstrip('/')]):
      raise ValueError(f'array {name.rstrip("/")!r} is not what was saved')


def _place(item: epath.Path) -> dict[str, str]:
  if not is_remote(item):
    return {'driver': 'file', 'path': f'{item}/'}
  bucket, _, path = str(item).removeprefix('gs://').partition('/')
  return {'driver': 'gcs', 'bucket': bucket, 'path': f'{path}/'}


def _kind(leaf: Any) -> str:
  """Returns type and shape, for example `float32(3, 4)`."""
  return f'{jnp.dtype(leaf.dtype).name}{tuple(leaf.shape)}'


def _is_key(leaf: Any) -> bool:
  return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _named(state: PyTree) -> dict[str, Any]:
  """Flat names in the order of the leaves; PRNG keys as their integers."""
  leaves, _ = jax.tree_util.tree_flatten_with_path(state)
  return {
    jax.tree_util.keystr(path, simple=True, separator='.'): _without_key(leaf)
    for path, leaf in leaves
  }


def _name_in(saved: Mapping[str, Any], name: str) -> str:
  """Returns the name of an array in a checkpoint, of this version or before."""
  if name in saved or not name.startswith(_SLOW):
    return name
  former = (name.replace(_SLOW, prefix, 1) for prefix in _FORMERLY_SLOW)
  return next((old for old in former if old in saved), name)


def _without_key(leaf: Any) -> Any:
  if not _is_key(leaf):
    return leaf
  if isinstance(leaf, jax.ShapeDtypeStruct):
    data = jax.eval_shape(jax.random.key_data, leaf)
    return jax.ShapeDtypeStruct(data.shape, data.dtype, sharding=leaf.sharding)
  return jax.random.key_data(leaf)


def _like(abstract: jax.ShapeDtypeStruct, leaf: jax.Array) -> jax.Array:
  return jax.random.wrap_key_data(leaf) if _is_key(abstract) else leaf


def _first_line(error: BaseException) -> str:
  lines = str(error).strip().splitlines() or ['']
  return f'{type(error).__name__}: {lines[0][:200]}'
