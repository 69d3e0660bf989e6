"""Compile modes: how a step is compiled and where its arrays live.

The loop calls the same methods on each class and never branches. Whatever the
mode, a checkpoint holds the same thing: one copy of each array of the state
(`get_state`), so that a run can go on in the other mode, on another number of
devices, or with the state cut otherwise.
"""

from collections.abc import Callable
import dataclasses
import functools
from typing import Any, Protocol

import jax
from jax.experimental import multihost_utils
import jax.numpy as jnp
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
import numpy as np

from jaxssl.errors import UserError, unknown
from jaxssl.parallel import compiler_options, rules

PyTree = Any
Step = Callable[..., tuple[PyTree, PyTree]]
# Of `jax.jit` or `jax.pmap`: it can be called, lowered and compiled.
CompiledStep = Any
# `jax.Device`, which JAX defines in a way that no checker takes for a type.
Device = Any
AXIS = 'data'
# The devices along this axis share one copy of the state.
FSDP = 'fsdp'
ROWS = P((AXIS, FSDP))


class Mode(Protocol):
  """Where arrays live and how the step is compiled."""

  @property
  def axis_name(self) -> str | None:
    """The mapped device axis; None in the global view."""
    ...

  def init(self, fn: Callable[..., PyTree], *args: Any) -> PyTree:
    """Runs `fn(*args) -> state` compiled; its result is placed for `step`."""
    ...

  def compile(self, step: Step) -> CompiledStep:
    """Compiles `step(state, batch, axis_name=) -> (state, metrics)`."""
    ...

  def put_state(self, state: PyTree) -> PyTree:
    """Places one copy of the state as the compiled step wants it."""
    ...

  def get_state(self, state: PyTree) -> PyTree:
    """Returns one copy of the state, the form that checkpoints hold."""
    ...

  def target(self, state: PyTree) -> PyTree:
    """Returns shapes, types and places of what `get_state` returns."""
    ...

  def put_batch(self, batch: PyTree) -> PyTree:
    """Places this process's rows (NumPy) as part of the global batch."""
    ...

  def fetch(self, tree: PyTree) -> PyTree:
    """Returns values equal on all devices as NumPy arrays."""
    ...


def make_mesh(
  devices: list[Device] | None = None, *, fsdp: int | None = 1
) -> Mesh:
  """Returns a mesh over `devices` (default: all) of axes `data` and `fsdp`.

  Always with automatic axis types: `jax.make_mesh` defaults to explicit ones
  since jax 0.9, under which plain Flax Linen modules fail.

  Args:
    devices: in the order in which those that share a state are neighbours.
    fsdp: how many share one copy of the state; None for all.

  Raises:
    UserError: if that does not divide their number.
  """
  devices = jax.devices() if devices is None else devices
  shared = len(devices) if fsdp is None else fsdp
  if shared < 1 or len(devices) % shared:
    raise UserError(
      f'train.fsdp is {fsdp}, but {len(devices)} device(s) do not divide into '
      f'groups of {fsdp}; give a divisor, or None for one group'
    )
  return _mesh(np.array(devices).reshape(-1, shared), (AXIS, FSDP))


def _mesh(devices: np.ndarray, axes: tuple[str, ...]) -> Mesh:
  return Mesh(devices, axes, axis_types=(AxisType.Auto,) * len(axes))


@dataclasses.dataclass(frozen=True)
class Jit:
  """Global view: rows go over all devices, the state over the `fsdp` axis.

  With one device on that axis, the default, every device has the whole state.

  Attributes:
    mesh: mesh from `make_mesh`.
    smallest: see `rules.partition_specs`.
    deterministic: have a GPU run the step with the same bits each time.
    recomputes: whether the step computes activations twice.
  """

  mesh: Mesh
  smallest: int = rules.SMALLEST
  deterministic: bool = False
  recomputes: bool = False
  axis_name: None = None

  def init(self, fn: Callable[..., PyTree], *args: Any) -> PyTree:
    """See `Mode.init`; each device makes only its part."""

    def placed(*args: Any) -> PyTree:
      state = fn(*args)
      return jax.lax.with_sharding_constraint(state, self.shardings(state))

    return jax.jit(placed)(*args)

  def compile(self, step: Step) -> CompiledStep:
    """See `Mode.compile`."""

    def pinned(state: PyTree, batch: PyTree) -> tuple[PyTree, PyTree]:
      # For what must see the devices in the global view (`device_view`).
      with jax.sharding.use_abstract_mesh(self.mesh.abstract_mesh):
        state, metrics = step(state, batch)
      # Or the compiler chooses where the next state lives.
      return jax.lax.with_sharding_constraint(
        (state, metrics),
        (self.shardings(state), NamedSharding(self.mesh, P())),
      )

    options = compiler_options.of_step(
      self.mesh.devices.flat[0],
      deterministic=self.deterministic,
      recomputes=self.recomputes,
    )
    return jax.jit(pinned, donate_argnums=0, compiler_options=dict(options))

  def put_state(self, state: PyTree) -> PyTree:
    """See `Mode.put_state`."""
    return jax.device_put(state, self.shardings(state))

  def get_state(self, state: PyTree) -> PyTree:
    """See `Mode.get_state`."""
    return state

  def target(self, state: PyTree) -> PyTree:
    """See `Mode.target`."""
    return _placed(state, self.shardings(state))

  def put_batch(self, batch: PyTree) -> PyTree:
    """See `Mode.put_batch`."""
    rows = NamedSharding(self.mesh, ROWS)
    place = functools.partial(jax.make_array_from_process_local_data, rows)
    return jax.tree.map(place, batch)

  def fetch(self, tree: PyTree) -> PyTree:
    """See `Mode.fetch`."""
    return jax.device_get(tree)

  def shardings(self, state: PyTree) -> PyTree:
    """Returns where each array of a state belongs."""
    specs = rules.partition_specs(
      state,
      axis=FSDP,
      size=self.mesh.shape[FSDP],
      smallest=self.smallest,
    )
    return jax.tree.map(functools.partial(NamedSharding, self.mesh), specs)


@dataclasses.dataclass(frozen=True)
class Pmap:
  """Device view: leaves carry a leading device axis, collectives are named."""

  devices: tuple[Device, ...]
  axis_name: str = AXIS

  def init(self, fn: Callable[..., PyTree], *args: Any) -> PyTree:
    """See `Mode.init`."""
    return self.put_state(jax.jit(fn)(*args))

  def compile(self, step: Step) -> CompiledStep:
    """See `Mode.compile`."""
    step = functools.partial(step, axis_name=self.axis_name)
    return jax.pmap(
      step,
      axis_name=self.axis_name,
      donate_argnums=0,
      devices=self.devices,
    )

  def put_state(self, state: PyTree) -> PyTree:
    """See `Mode.put_state`."""
    # Of this host alone, as `pmap` takes and returns them: keys that lie on
    # several hosts it does not take.
    devices = self._local_devices
    # The very mesh of `pmap`, or it traces anew for what it has returned.
    sharding = NamedSharding(_mesh(np.array(devices), (AXIS,)), P(AXIS))

    def stack(x: np.ndarray) -> jax.Array:
      return _place(np.broadcast_to(x, (len(devices), *x.shape)), sharding)

    return jax.tree.map(lambda x: _on_data(stack, x), state)

  def get_state(self, state: PyTree) -> PyTree:
    """See `Mode.get_state`."""

    def one_copy(x: jax.Array) -> jax.Array:
      place = functools.partial(_place, sharding=self._everywhere)
      return _on_data(place, self._first(x))

    return jax.tree.map(one_copy, state)

  def target(self, state: PyTree) -> PyTree:
    """See `Mode.target`."""
    return _placed(state, jax.tree.map(lambda _: self._everywhere, state))

  def put_batch(self, batch: PyTree) -> PyTree:
    """See `Mode.put_batch`."""
    local = len(self._local_devices)
    return jax.tree.map(
      lambda x: x.reshape(local, len(x) // local, *x.shape[1:]), batch
    )

  def fetch(self, tree: PyTree) -> PyTree:
    """See `Mode.fetch`."""
    return jax.device_get(jax.tree.map(self._first, tree))

  @property
  def _everywhere(self) -> NamedSharding:
    # On all hosts: what is of one host alone, several cannot save.
    return NamedSharding(make_mesh(list(self.devices)), P())

  @property
  def _local_devices(self) -> list[Device]:
    index = jax.process_index()
    return [d for d in self.devices if d.process_index == index]

  def _first(self, x: jax.Array) -> jax.Array:
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


def _placed(state: PyTree, shardings: PyTree) -> PyTree:
  def place(x: Any, sharding: NamedSharding) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding)

  return jax.tree.map(place, state, shardings)


def to_host(tree: PyTree) -> PyTree:
  """Returns NumPy arrays of what `Mode.get_state` returns, or a part of it.

  All processes must call it. What is cut over them is put together one array
  at a time.
  """

  def whole(x: Any) -> np.ndarray:
    is_array = isinstance(x, jax.Array)
    if is_array and not (x.is_fully_addressable or x.is_fully_replicated):
      return multihost_utils.process_allgather(x, tiled=True)
    return jax.device_get(x)

  return jax.tree.map(whole, tree)


MODES = ('jit', 'pmap')


def make_mode(
  name: str,
  *,
  num_devices: int | None = None,
  fsdp: int | None = 1,
  deterministic: bool = False,
  recomputes: bool = False,
) -> Mode:
  """Returns the compile mode of that name.

  Args:
    name: `'jit'` (global view) or `'pmap'` (device view).
    num_devices: how many devices to use; all of them by default.
    fsdp: how many of them share one copy of the state; None for all.
    deterministic: have GPUs run the step with the same bits each time.
    recomputes: whether the step computes activations twice (`remat`).

  Raises:
    UserError: if the name is unknown, there are fewer devices, they cannot
      share the state so, or `deterministic` cannot be had.
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
    mesh = make_mesh(devices, fsdp=fsdp)
    return Jit(mesh, deterministic=deterministic, recomputes=recomputes)
  if name == 'pmap':
    if deterministic:
      raise UserError(
        'train.deterministic goes with train.mode "jit": `pmap` takes no '
        'options of the compiler'
      )
    if fsdp != 1:
      raise UserError(
        f'train.fsdp is {fsdp}, but with train.mode "pmap" every device has a '
        'whole state; use mode "jit"'
      )
    return Pmap(tuple(devices))
  raise unknown('train.mode', name, MODES)
