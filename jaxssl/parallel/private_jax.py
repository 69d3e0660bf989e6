"""What jaxssl needs from JAX and finds in no public module: three functions.

Nothing else imports `jax._src`. Before you add something here, look for it in
`jax.distributed` and `jax.experimental.multihost_utils`.
"""

from jax._src import clusters, distributed


def detected_cluster() -> str | None:
  """Returns the name of the cluster that `jax.distributed` would find, if any.

  `jax.distributed.initialize` detects it too, but it raises where there is
  none, and does not tell which one it has found.
  """
  # The list of kinds is private even there.
  for kind in clusters.ClusterEnv._cluster_types:  # pyright: ignore[reportPrivateUsage]
    if not kind.opt_in_only_method and kind.is_env_present():
      return kind.name
  return None


def num_processes() -> int:
  """Returns how many processes have joined, without a look at the devices.

  `jax.process_count` opens the devices, and for that waits for the other
  processes, which may be gone.
  """
  return distributed.global_state.num_processes


def wait_for_all(name: str, seconds: int) -> None:
  """Waits until all processes have called this with the same name.

  `multihost_utils.sync_global_devices` waits on the devices, and has no limit.

  Args:
    name: name of the barrier, which can be used once.
    seconds: how long to wait.

  Raises:
    RuntimeError: if some process did not come; JAX raises it.
  """
  client = distributed.global_state.client
  if client is None:
    raise RuntimeError('this process has not joined others')
  client.wait_at_barrier(name, 1000 * seconds)
