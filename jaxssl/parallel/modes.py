"""Compile modes: how a step is compiled and where its arrays live.

The loop calls the same methods on each class and never branches. Whatever the
mode, a checkpoint holds the same thing: one copy of each array of the state
(`get_state`), so that a run can go on in the other mode or on another number
of devices.
"""

from collections.abc import Callable
import dataclasses
import functools
from typing import Any, Protocol

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
import numpy as np

from jaxssl.errors import UserError, unknown

PyTree = Any
AXIS = 'data'


class Mode(Protocol):
  """Where arrays live and how the step is compiled."""

  axis_name: str | None

  def init(self, fn: Callable[..., PyTree], *args: Any) -> PyTree:
    """Runs `fn(*args) -> state` compiled; its result is placed for `step`."""

  def compile(self, step: Callable[..., Any]) -> Callable[..., Any]:
    """Compiles `step(state, batch, axis_name=) -> (state, metrics)`."""

  def put_state(self, state: PyTree) -> PyTree:
    """Places one copy of the state as the compiled step wants it."""

  def get_state(self, state: PyTree) -> PyTree:
    """Returns one copy of the state, the form that checkpoints hold."""

  def put_batch(self, batch: PyTree) -> PyTree:
    """Places this process's rows (NumPy) as part of the global batch."""

  def fetch(self, tree: PyTree) -> PyTree:
    """Returns values equal on all devices as NumPy arrays."""


def make_mesh(devices: list[jax.Device] | None = None) -> Mesh:
  """Returns a one-axis mesh over `devices` (default: all).

  Always with automatic axis types: `jax.make_mesh` defaults to explicit ones
  since jax 0.9, under which plain Flax Linen modules fail.
  """
  devices = jax.devices() if devices is None else devices
  return Mesh(np.array(devices), (AXIS,), axis_types=(AxisType.Auto,))


@dataclasses.dataclass(frozen=True)
class Jit:
  """Global view: the state is replicated, rows go over the `data` axis."""

  mesh: Mesh
  axis_name: None = None

  def init(self, fn, *args):
    """See `Mode.init`."""
    return jax.jit(fn, out_shardings=self._replicated)(*args)

  def compile(self, step):
    """See `Mode.compile`."""
    # Pinned shardings, or the compiler chooses where the next state lives.
    return jax.jit(step, donate_argnums=0, out_shardings=self._replicated)

  def put_state(self, state):
    """See `Mode.put_state`."""
    return jax.device_put(state, self._replicated)

  def get_state(self, state):
    """See `Mode.get_state`."""
    return state

  def put_batch(self, batch):
    """See `Mode.put_batch`."""
    rows = NamedSharding(self.mesh, P(AXIS))
    place = functools.partial(jax.make_array_from_process_local_data, rows)
    return jax.tree.map(place, batch)

  def fetch(self, tree):
    """See `Mode.fetch`."""
    return jax.device_get(tree)

  @property
  def _replicated(self):
    return NamedSharding(self.mesh, P())


@dataclasses.dataclass(frozen=True)
class Pmap:
  """Device view: leaves carry a leading device axis, collectives are named."""

  devices: tuple[jax.Device, ...]
  axis_name: str = AXIS

  def init(self, fn, *args):
    """See `Mode.init`."""
    return self.put_state(jax.jit(fn)(*args))

  def compile(self, step):
    """See `Mode.compile`."""
    step = functools.partial(step, axis_name=self.axis_name)
    return jax.pmap(
      step,
      axis_name=self.axis_name,
      donate_argnums=0,
      devices=self.devices,
    )

  def put_state(self, state):
    """See `Mode.put_state`."""
    # Of this host alone, as `pmap` takes and returns them: keys that lie on
    # several hosts it does not take.
    devices = self._local_devices

    def stack(x):
      stacked = np.broadcast_to(x, (len(devices), *x.shape))
      return _place(stacked, NamedSharding(make_mesh(devices), P(AXIS)))

    return jax.tree.map(lambda x: _on_data(stack, x), state)

  def get_state(self, state):
    """See `Mode.get_state`."""
    # On all hosts: what is of one host alone, several cannot save.
    everywhere = NamedSharding(make_mesh(list(self.devices)), P())

    def one_copy(x):
      return _on_data(lambda data: _place(data, everywhere), self._first(x))

    return jax.tree.map(one_copy, state)

  def put_batch(self, batch):
    """See `Mode.put_batch`."""
    local = len(self._local_devices)
    return jax.tree.map(
      lambda x: x.reshape(local, len(x) // local, *x.shape[1:]), batch
    )

  def fetch(self, tree):
    """See `Mode.fetch`."""
    return jax.device_get(jax.tree.map(self._first, tree))

  @property
  def _local_devices(self):
    index = jax.process_index()
    return [d for d in self.devices if d.process_index == index]

  def _first(self, x):
    # Not x[0]: on several hosts that gathers across hosts, or fails.
    return x.addressable_shards[0].data[0]


def _on_data(place: Callable[[np.ndarray], jax.Array], x: Any) -> jax.Array:
  """Places an array; of PRNG keys, their numbers."""
  if not jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
    return place(np.asarray(x))
  data = place(np.asarray(jax.random.key_data(x)))
  return jax.random.wrap_key_data(data, impl=jax.random.key_impl(x))


def _place(x: np.ndarray, sharding: NamedSharding) -> jax.Array:
  return jax.make_array_from_process_local_data(sharding, x)


MODES = ('jit', 'pmap')


def make_mode(name: str, *, num_devices: int | None = None) -> Mode:
  """Returns the compile mode of that name.

  Args:
    name: `'jit'` (global view) or `'pmap'` (device view).
    num_devices: how many devices to use; all of them by default.

  Raises:
    UserError: if the name is unknown or there are fewer devices.
  """
  devices = jax.devices()
  if num_devices is not None:
    if not 0 < num_devices <= len(devices):
      raise UserError(
        f'num_devices is {num_devices}, but this machine has '
        f'{len(devices)} {devices[0].platform} device(s)'
      )
    if num_devices < len(devices) and jax.process_count() > 1:
      raise UserError(
        f'num_devices is {num_devices}, but {jax.process_count()} processes '
        f'use all of their {len(devices)} devices; leave it out'
      )
    devices = devices[:num_devices]
  if name == 'jit':
    return Jit(make_mesh(devices))
  if name == 'pmap':
    return Pmap(tuple(devices))
  raise unknown('train.mode', name, MODES)
