"""Several processes: how they find each other, agree, and leave files to one.

Every process runs the same program on its own devices. Files are written by
process 0 alone; the checkpoints' arrays are Orbax's affair. Whatever makes a
process stop must be known to all of them, or the rest would wait for it: they
ask each other, or it ends so that they notice (`ending_together`).
"""

from collections.abc import Callable, Generator, Mapping
from concurrent import futures
import contextlib
import hashlib
import itertools
import logging
import os
import pathlib
import re
import signal
import sys
import threading
import traceback
from typing import Any, NoReturn

import jax
from jax.experimental import multihost_utils
import numpy as np

import jaxssl
from jaxssl.errors import LostProcessError, UserError
from jaxssl.parallel import private_jax, slurm

_log = logging.getLogger(__name__)
_ENVIRONMENT = (
  'JAX_COORDINATOR_ADDRESS',
  'JAX_NUM_PROCESSES',
  'JAX_PROCESS_ID',
)
# Seconds. JAX ends all processes of which one was silent for `SILENCE`; it is
# the only thing that ends a wait for a machine that is frozen or cut off.
CONNECT = 300
SILENCE = 100
# Processes that are done wait for each other. What they do after their last
# common act takes seconds.
SHUTDOWN = 60
# What all raise, all raise at the same place.
TOGETHER = 10
# Said by XLA's collectives, JAX's coordinator, and Orbax's barriers of it.
_LOST = re.compile(
  'Gloo|NCCL|coordination|[Bb]arrier|heartbeat|UNAVAILABLE|DEADLINE_EXCEEDED'
)
_failures = itertools.count()


def start(
  *,
  coordinator: str | None = None,
  num_processes: int | None = None,
  process_id: int | None = None,
) -> None:
  """Joins the processes of a run; call it before any use of a device.

  What is not given is taken from the environment (`JAX_COORDINATOR_ADDRESS`,
  `JAX_NUM_PROCESSES`, `JAX_PROCESS_ID`), then from the cluster that JAX detects
  (Open MPI, SLURM, Cloud TPU, GKE). Without any of them there is one process.

  Args:
    coordinator: `HOST:PORT` of process 0, reachable from all.
    num_processes: how many there are.
    process_id: which one this is, from 0.

  Raises:
    UserError: if only some are known, or they make no sense.
    LostProcessError: if the others are not reached within five minutes.
  """
  address = coordinator or os.environ.get(_ENVIRONMENT[0])
  count = _number(num_processes, _ENVIRONMENT[1])
  index = _number(process_id, _ENVIRONMENT[2])
  given = {
    'coordinator': address,
    'num_processes': count,
    'process_id': index,
  }
  missing = [name for name, value in given.items() if value is None]
  cluster = private_jax.detected_cluster()
  if len(missing) == len(given) and cluster is None:
    return
  if missing and cluster is None:
    known = ', '.join(f'{k}={v}' for k, v in given.items() if v is not None)
    raise UserError(
      f'several processes: {known} given, but not {" and ".join(missing)}, and '
      'no cluster is detected (looked for Open MPI, SLURM, Cloud TPU, GKE); '
      f'give --{" and --".join(missing)}, or the variables '
      f'{", ".join(_ENVIRONMENT)}'
    )
  _check(address, count, index)
  own = slurm.local_device_ids(os.environ) if cluster == 'slurm' else None
  try:
    _initialize(address, count, index, local_device_ids=own)
  except (RuntimeError, ValueError, OSError) as error:
    why = str(error) or f'not within {CONNECT} s'
    raise LostProcessError(
      f'the processes do not find each other (detected: {cluster or "nothing"}'
      f'; given: {given}): {why}'
    ) from error
  _put_back_sigterm()


@contextlib.contextmanager
def ending_together(tell: Callable[[BaseException], int]) -> Generator[None]:
  """Within it, a process that fails alone takes no others with it into a wait.

  What all processes raise (a disagreement, a loss that is not finite) unwinds
  as in one process. A process that fails alone would wait while it unwinds, to
  end a save or to shut down, for others that wait for it in a step. So it tells
  why, and ends without tidying up. The others notice, and do the same.

  Args:
    tell: prints an error in one line and returns the exit code, or raises it.
  """
  try:
    yield
  except (Exception, KeyboardInterrupt) as error:
    alone = private_jax.num_processes() == 1
    if alone or not jax.distributed.is_initialized():
      raise
    reason = _lost(error)
    if isinstance(error, LostProcessError):
      _leave(error, tell)
    if reason is not None:
      message = (
        f'another process of the run has ended or is out of reach ({reason}); '
        'it has told why, if it could; start all again to go on from the last '
        'checkpoint'
      )
      _leave(LostProcessError(message), tell)
    if not _all_fail():
      _leave(error, tell)
    raise


def _initialize(*args: Any, **kwargs: Any) -> None:
  """Calls `jax.distributed.initialize`, and waits only for so long.

  JAX's own time-out is no error but aborts the process, and no signal is looked
  at before it.

  Raises:
    TimeoutError: after `CONNECT` seconds.
  """
  done = futures.Future()

  def connect() -> None:
    try:
      jax.distributed.initialize(
        *args,
        **kwargs,
        initialization_timeout=CONNECT + 60,
        heartbeat_timeout_seconds=SILENCE,
        shutdown_timeout_seconds=SHUTDOWN,
      )
      done.set_result(None)
    except Exception as error:
      done.set_exception(error)

  threading.Thread(target=connect, daemon=True).start()
  done.result(CONNECT)


def _put_back_sigterm() -> None:
  """Undoes what JAX has done to SIGTERM, behind Python's back.

  Its handler only takes a note for whoever asks it, which nobody does here.
  """
  if threading.current_thread() is threading.main_thread():
    before = signal.getsignal(signal.SIGTERM)
    signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def _lost(error: BaseException | None) -> str | None:
  """What an error says of a lost process; None if it is something else."""
  while error is not None:
    text = str(error)
    if not isinstance(error, UserError) and _LOST.search(text):
      return text.strip().splitlines()[0][:200]
    error = error.__cause__
  return None


def _all_fail() -> bool:
  """Whether all processes come here, and soon."""
  name = f'jaxssl_failed_{next(_failures)}'
  try:
    private_jax.wait_for_all(name, TOGETHER)
  except RuntimeError:  # of JAX
    return False
  return True


def _leave(
  error: BaseException, tell: Callable[[BaseException], int]
) -> NoReturn:
  """Ends this process without what Python does at its end."""
  try:
    code = tell(error)
  except BaseException:
    traceback.print_exc()
    code = 1
  for stream in (sys.stdout, sys.stderr):
    stream.flush()
  os._exit(code)


def is_first() -> bool:
  """Whether this is process 0, which writes the files."""
  return jax.process_index() == 0


def first_does(action: Callable[[], object]) -> None:
  """Lets process 0 do something; the others wait for how it ends.

  Raises:
    Exception: in process 0, what `action` raises.
    UserError: in the others, if it failed.
  """
  failure = None
  if is_first():
    try:
      action()
    except Exception as error:
      failure = error
  failed = any_process(failure is not None)
  if failure is not None:
    raise failure
  if failed:
    raise UserError('process 0 has stopped; its message says why')


def any_process(flag: bool) -> bool:
  """Whether the flag is set in any process; all must call it."""
  if jax.process_count() == 1:
    return flag
  return bool(multihost_utils.process_allgather(np.array(flag)).any())


def check_agreement(facts: Mapping[str, str]) -> None:
  """Compares facts of this process with those of all others.

  Args:
    facts: what must be equal -> text, the same names in all processes.

  Raises:
    UserError: in all processes, naming what differs and where.
  """
  if jax.process_count() == 1:
    return
  digests = np.stack([_digest(text) for text in facts.values()])
  everyone = multihost_utils.process_allgather(digests)
  for number, (name, text) in enumerate(facts.items()):
    differs = (everyone[:, number] != everyone[0, number]).any(axis=-1)
    if differs.any():
      others = ', '.join(str(i) for i in np.flatnonzero(differs))
      raise UserError(
        f'the processes disagree on {name}: process(es) {others} differ from '
        f'process 0 (here, in process {jax.process_index()}: {text}); give all '
        'the same'
      )


def code_version() -> str:
  """Versions of jaxssl and JAX, and a hash of the package's own files."""
  root = pathlib.Path(jaxssl.__file__).parent
  digest = hashlib.sha256()
  for path in sorted(root.rglob('*.py')):
    digest.update(str(path.relative_to(root)).encode() + path.read_bytes())
  return (
    f'jaxssl {jaxssl.__version__} {digest.hexdigest()[:8]}, '
    f'jax {jax.__version__}'
  )


def _number(given: int | None, variable: str) -> int | None:
  if given is not None or variable not in os.environ:
    return given
  try:
    return int(os.environ[variable])
  except ValueError as error:
    raise UserError(
      f'{variable} is {os.environ[variable]!r}; it must be an integer'
    ) from error


def _check(address: str | None, count: int | None, index: int | None) -> None:
  host, _, port = (address or 'detected:1').rpartition(':')
  if not host or not port.isdecimal():
    raise UserError(f'coordinator is {address!r}; it must be HOST:PORT')
  if count is not None and count < 1:
    raise UserError(f'num_processes is {count}; it must be positive')
  if index is not None and (index < 0 or (count and index >= count)):
    raise UserError(
      f'process_id is {index}; it must be from 0 to num_processes - 1'
    )


def _digest(text: str) -> np.ndarray:
  return np.frombuffer(hashlib.sha256(text.encode()).digest(), np.uint8)
