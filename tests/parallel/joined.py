"""Two processes of `jaxssl train`, joined by gloo on this machine."""

import os
import pathlib
import socket
import subprocess
import sys

REPOSITORY = pathlib.Path(__file__).parents[2]
PATIENCE = 400  # seconds; only processes that hang need them


class Pair:
  """Two started processes.

  Attributes:
    processes: them, the first one is the coordinator.
  """

  def __init__(
    self, arguments, *, devices=2, change=(), other=None, module='jaxssl'
  ):
    """Starts them.

    Args:
      arguments: of both, without those that join them.
      devices: of each.
      change: further arguments of the second.
      other: the folder that the second starts in.
      module: what is run.
    """
    with socket.socket() as free:
      free.bind(('127.0.0.1', 0))
      address = f'127.0.0.1:{free.getsockname()[1]}'
    environment = {
      **os.environ,
      'JAX_PLATFORMS': 'cpu',
      'JAX_NUM_CPU_DEVICES': str(devices),
      'PYTHONPATH': str(REPOSITORY),
      'TF_CPP_MIN_LOG_LEVEL': '3',
    }
    self.processes = [
      subprocess.Popen(
        [
          sys.executable,
          '-m',
          module,
          *map(str, arguments),
          f'--coordinator={address}',
          '--num_processes=2',
          f'--process_id={index}',
          *(change if index else ()),
        ],
        cwd=other if index and other else REPOSITORY,
        env=environment,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
      )
      for index in range(2)
    ]

  def end(self) -> tuple[list[int], list[str]]:
    """Waits for both; returns exit codes and standard errors."""
    try:
      errors = [p.communicate(timeout=PATIENCE)[1] for p in self.processes]
    finally:
      for process in self.processes:
        process.kill()
    return [process.returncode for process in self.processes], errors
