"""The folder of a run: what lies where, and that one process at a time writes.

See `docs/quickstart.md` for the whole layout.
"""

from collections.abc import Callable, Sequence
import errno
import fcntl
import logging
import os
from typing import IO

from jaxssl import atomic_file
from jaxssl import config as config_lib
from jaxssl.errors import UserError, first_of
from jaxssl.paths import Path, check_name, is_remote, make_path
from jaxssl.printable import Formatter
from jaxssl.train.growing_text import GrowingText, open_text
from jaxssl.train.lease import Lease

# How a run is computed and kept, not what comes out: may differ on resume.
MAY_CHANGE = (
  'input.num_threads',
  'input.prefetch',
  'train.fsdp',
  'train.keep',
  'train.keep_every',
  'train.log_to',
  'train.mode',
  'train.num_devices',
  'train.tensorboard',
)
# How long a run is; may grow, which `claim` is told.
LENGTH = ('train.epochs', 'train.steps')
# Folder in `export/` of the best encoder of a run with a guard.
BEST = 'best'
_SECTIONS = {'data', 'encoder', 'eval', 'method', 'train'}


def fixed_part(config: config_lib.Config) -> config_lib.Config:
  """Returns a config without what may change when a run goes on."""
  flat = config_lib.flatten(config)
  return config_lib.unflatten(
    {key: value for key, value in flat.items() if key not in MAY_CHANGE}
  )


class Workdir:
  """Paths of a run and its lock.

  Attributes:
    path: the folder, absolute in a store (`gs://...`).
  """

  def __init__(self, path: str | os.PathLike[str]):
    """Names the folder; touches nothing.

    Raises:
      UserError: for a store that is unknown, or whose library is missing.
    """
    self.path = make_path(path)
    self._lock: IO[str] | Lease | None = None

  @property
  def config_path(self) -> Path:
    """The resolved config, JSON."""
    return self.path / 'config.json'

  @property
  def metrics_path(self) -> Path:
    """Metrics, one JSON object per line."""
    return self.path / 'metrics.jsonl'

  @property
  def checkpoints(self) -> Path:
    """Checkpoints, one folder a step."""
    return self.path / 'checkpoints'

  @property
  def export(self) -> Path:
    """The encoder's latest weights."""
    return self.path / 'export'

  @property
  def tokenizer(self) -> Path:
    """The tokenizer of an image-text run, as it was when the run began."""
    return self.path / 'tokenizer.json'

  def read_config(self) -> config_lib.Config:
    """Returns the config of the run.

    Raises:
      UserError: if there is none or it is damaged.
    """
    if not self.config_path.is_file():
      raise UserError(
        f'{str(self.path)!r} holds no run (no config.json); give the workdir '
        'of `jaxssl train` or `jaxssl import`'
      )
    try:
      config = config_lib.from_json(self.config_path.read_text())
      if not isinstance(config, dict) or 'data' not in config:
        raise ValueError('no config in it')
      for name in _SECTIONS & config.keys():
        if not isinstance(config[name], dict):
          raise ValueError(f'{name} is {config[name]!r}')
    except (OSError, ValueError) as error:
      raise UserError(
        f'{str(self.config_path)!r} is damaged ({error}); restore it or start '
        'again in a new workdir'
      ) from error
    return config

  def claim(
    self,
    config: config_lib.Config,
    *,
    complete: Callable[[config_lib.Config], config_lib.Config] = lambda c: c,
    longer: bool = False,
  ) -> None:
    """Makes the folder this run's: locks it and keeps its config.

    Where `config.json` is lost but checkpoints are there, the config is not
    kept before a checkpoint has proved to be of it: see `keep_config`.

    Args:
      config: resolved config of the run to start or to go on with.
      complete: adds the keys that the config of an earlier version lacks.
      longer: the run becomes longer (`LENGTH`). The config until then stays as
        `config.until-STEP.json`, of the newest checkpoint.

    Raises:
      UserError: if the folder cannot be written, another process trains in
        it, or it belongs to a run with another config (`MAY_CHANGE` apart).
    """
    # First of all: between a look at the config and a write to it nobody else
    # may come.
    self.lock()
    try:
      if self.config_path.exists():
        kept = complete(self.read_config())
        self._check_same(kept, config, LENGTH if longer else ())
        if longer:
          self._lengthen(config)
      elif not self._has_checkpoints():
        self.keep_config(config)
    except UserError:
      self.release()
      raise

  def lock(self) -> None:
    """Makes the folder and keeps every other process from training in it.

    Raises:
      UserError: if the folder cannot be written or have checkpoints, or if
        another process trains in it.
    """
    check_name(self.path)
    try:
      if is_remote(self.path):
        self._lock = Lease(self.path / 'lock')
        self._lock.take()
      else:
        self._take_lock()
    except UserError:
      self.release()
      raise

  def config_at_start(self, config: config_lib.Config) -> config_lib.Config:
    """Returns the config that the run began with, or `config` if it is lost.

    An earlier version may have written it, with fewer keys.
    """
    # One for each time that the run was made longer; the oldest is the first.
    earlier = {_until(path): path for path in self.path.glob('*.until-*.json')}
    if earlier:
      return config_lib.from_json(earlier[min(earlier)].read_text())
    return self.read_config() if self.config_path.exists() else config

  def keep_config(self, config: config_lib.Config) -> None:
    """Writes `config.json` if there is none.

    Raises:
      UserError: if it cannot be written.
    """
    if not self.config_path.exists():
      text = config_lib.to_json(config) + '\n'
      atomic_file.write_text(self.config_path, text)

  def newest_step(self) -> int:
    """Returns the step of the newest checkpoint; 0 without one."""
    if not self.checkpoints.is_dir():
      return 0
    names = [path.name for path in self.checkpoints.iterdir()]
    return max((int(name) for name in names if name.isdigit()), default=0)

  def _lengthen(self, config: config_lib.Config) -> None:
    """Replaces the config; that of the steps until now is kept."""
    if step := self.newest_step():
      until = self.path / f'config.until-{step}.json'
      # Of two in a row without a checkpoint between them, the first one's: the
      # checkpoints are of that config.
      if not until.exists():
        atomic_file.write_text(until, self.config_path.read_text())
    text = config_lib.to_json(config) + '\n'
    atomic_file.write_text(self.config_path, text)

  def check_lock(self) -> None:
    """Makes sure that the folder is still this run's.

    Raises:
      UserError: if the folder was removed, or begun anew by another process;
        or if another process has taken the lease of a folder in a store from
        this one, which was cut off.
    """
    if isinstance(self._lock, Lease):
      self._lock.check()
    elif self._lock and not self._holds(self._lock):
      raise UserError(
        f'workdir {str(self.path)!r} was removed or begun anew by another '
        'process; this run ends and writes nothing more there'
      )

  def release(self) -> None:
    """Gives the lock back."""
    if isinstance(self._lock, Lease):
      self._lock.release()
    elif self._lock:
      self._lock.close()
    self._lock = None

  def log_to_file(self) -> logging.Handler:
    """Copies the log of this process to `train.log`; returns the handler."""
    handler = _LogFile(open_text(self.path / 'train.log'))
    handler.setFormatter(Formatter('%(asctime)s %(message)s'))
    logging.getLogger().addHandler(handler)
    return handler

  def _take_lock(self) -> None:
    try:
      self.path.mkdir(parents=True, exist_ok=True)
      # A link is not followed: what it names is not ours to write.
      flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
      self._lock = os.fdopen(os.open(self.path / 'lock', flags, 0o666), 'r+')
    except OSError as error:
      is_link = error.errno == errno.ELOOP
      reason = "its file 'lock' is a link" if is_link else error.strerror
      raise UserError(
        f'cannot write to workdir {str(self.path)!r}: {reason}'
      ) from error
    try:
      # Released by the kernel when the process ends, however it ends.
      fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
      raise UserError(
        f'another process is training in {str(self.path)!r}; wait for it or '
        'use another workdir'
      ) from error
    self.check_lock()

  def _holds(self, lock: IO[str]) -> bool:
    """Whether the file that is locked is still the one that has the name."""
    try:
      found = os.stat(self.path / 'lock', follow_symlinks=False)
    except OSError:
      return False
    return os.path.samestat(found, os.fstat(lock.fileno()))

  def _has_checkpoints(self) -> bool:
    return self.checkpoints.is_dir() and any(self.checkpoints.iterdir())

  def _check_same(
    self,
    kept: config_lib.Config,
    config: config_lib.Config,
    may_change: Sequence[str],
  ) -> None:
    changed = [
      line
      for line in config_lib.differences(kept, config)
      if line.partition(':')[0] not in (*MAY_CHANGE, *may_change)
    ]
    if changed:
      raise UserError(
        f'workdir {str(self.path)!r} holds a run with another config: '
        f'{first_of(changed, 3)}; use a new workdir, or the old config'
      )


def _until(path: Path) -> int:
  """Returns the step in the name of an earlier config."""
  return int(path.name.removesuffix('.json').rpartition('-')[2])


class _LogFile(logging.StreamHandler[GrowingText]):
  """Like `logging.FileHandler`, also for a store."""

  stream: GrowingText

  def close(self) -> None:
    self.stream.close()
    super().close()
