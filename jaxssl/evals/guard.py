"""Watches that an encoder that goes on learning does not become worse.

A look at the features is compared with the first one, of the starting encoder.
With labels it is judged by the online kNN, and by whether the features have
collapsed. Without them nothing says what is
better; what says that something is lost is that pictures change all of their
neighbours, or that the features lie along fewer directions.
"""

from collections.abc import Callable, Generator, Mapping
import contextlib
import dataclasses
import json
import logging
from typing import Any, Literal

import numpy as np

from jaxssl import atomic_file, npz_file
from jaxssl.errors import UserError
from jaxssl.evals import neighbour_sets
from jaxssl.evals.collapse import MIN_RANK
from jaxssl.evals.online import Look, OnlineEvaluation
from jaxssl.parallel import processes
from jaxssl.paths import Path

PyTree = Any
Mode = Literal['off', 'keep', 'stop']
TOP1, AGREEMENT, RANK = 'knn/top1', 'knn/agreement', 'effective_rank'
# Without labels a judgement, not a measurement: the share of its neighbours
# that a picture keeps, and the share of the effective rank that is left.
LEAST_AGREEMENT, LEAST_RANK = 0.1, 0.5
_LOOKS = 'looks.json'
_log = logging.getLogger(__name__)


@dataclasses.dataclass(kw_only=True)
class Guard:
  """An online evaluation that keeps the best encoder, and may end the run.

  What it knows lies in `folder`, a look a step: `looks.json` (scalars) and
  `start.npz`, `best.npz`, `last.npz` (picture by picture). A run that goes on
  from step s forgets the looks after s, so it ends as one that was not stopped.

  Attributes:
    evaluation: what looks.
    folder: of the workdir.
    stop: whether a fall ends the run.
    margin: by so much the kNN may fall, as a share of the pictures.
    keep: (towers, step) -> writes the encoder that is the best so far.
  """

  evaluation: OnlineEvaluation
  folder: Path
  stop: bool
  margin: float
  keep: Callable[[Mapping[str, PyTree], int], None]
  looks: list[dict[str, float]] = dataclasses.field(default_factory=list)

  def begin(self, first_step: int) -> str | None:
    """Takes up the looks until a step; returns why the run has ended, if so."""
    path = self.folder / _LOOKS
    with _told_as_damage(path):
      # From step 0 on everything is looked at again, step 0 too.
      is_known = first_step and path.exists()
      found = json.loads(path.read_text()) if is_known else []
      self.looks = [look for look in found if look['step'] <= first_step]
    return self.verdict()

  def __call__(
    self, towers: Mapping[str, PyTree], step: int
  ) -> dict[str, float]:
    """Looks; returns what `OnlineEvaluation` does, and `knn/agreement`."""
    look = self.evaluation.look(towers, step)
    # Of few pictures a set of k would be nearly all of them, whatever happens.
    k = min(self.evaluation.k, max(1, len(look.features) // 10))
    nearest = neighbour_sets.nearest(look.features, k=k)
    start = nearest if not self.looks else self._start()
    overlap = neighbour_sets.overlap(start, nearest)
    scalars = {**look.scalars, AGREEMENT: float(overlap.mean())}
    was_fallen = self._has_fallen()
    self.looks.append({'step': step, **scalars})
    is_best = self.best['step'] == step
    if processes.is_first():
      self._write(look, nearest, overlap, is_best=is_best)
      if is_best:
        self.keep(towers, step)
    if (fall := self._fall()) and not was_fallen:
      _log.warning('%s', fall)
    return scalars

  def verdict(self) -> str | None:
    """Returns why the run ends, if it does."""
    return self._fall() if self.stop else None

  @property
  def best(self) -> dict[str, float]:
    """The best look, the first of equals; that of the start if all are worse.

    By the kNN; without labels by the effective rank (RankMe,
    arXiv:2210.02885), among looks that have not fallen.
    """
    if TOP1 in self.looks[0]:
      return max(self.looks, key=lambda look: look[TOP1])
    sound = [x for x in self.looks if not fall_of(self.looks[0], x, 0.0)]
    return max(sound, key=lambda look: look.get(RANK, 0.0))

  def _has_fallen(self) -> bool:
    return bool(self.looks) and self._fall() is not None

  def _fall(self) -> str | None:
    """Returns a line if the newest look is too far below the first one."""
    if len(self.looks) < 2:
      return None
    fall = fall_of(self.looks[0], self.looks[-1], self.margin)
    if fall is None:
      return None
    return (
      f'the guard, at step {self.looks[-1]["step"]}: {fall}; export/best holds '
      f'the encoder of step {self.best["step"]}; lower the learning rate, or '
      'freeze the encoder for longer'
    )

  def _start(self) -> np.ndarray:
    path = self.folder / 'start.npz'
    with _told_as_damage(path):
      return npz_file.read(path)['nearest']

  def _write(
    self, look: Look, nearest: np.ndarray, overlap: np.ndarray, *, is_best: bool
  ) -> None:
    self.folder.mkdir(parents=True, exist_ok=True)
    step = np.asarray(self.looks[-1]['step'])
    arrays = {'step': step, 'overlap': overlap}
    if look.right is not None:
      arrays['right'] = look.right
    names = ['last', *(['best'] if is_best else [])]
    if len(self.looks) == 1:
      arrays['nearest'] = nearest
      names.append('start')
    for name in names:
      npz_file.write(self.folder / f'{name}.npz', arrays)
    text = json.dumps(self.looks, indent=1) + '\n'
    atomic_file.write_text(self.folder / _LOOKS, text)


@contextlib.contextmanager
def _told_as_damage(path: Path) -> Generator[None]:
  try:
    yield
  except (OSError, KeyError, TypeError, ValueError) as error:
    raise UserError(
      f'{path} cannot be read ({str(error)[:200]}), so the guard does not know '
      'the starting encoder; begin the run again in a new workdir'
    ) from error


def fall_of(
  start: Mapping[str, float], now: Mapping[str, float], margin: float
) -> str | None:
  """Returns what has been lost since the start, or None.

  Args:
    start: scalars of the first look.
    now: of another one.
    margin: of the kNN.
  """
  if TOP1 in start:
    before, after = start[TOP1], now[TOP1]
    if not after >= before - margin:
      return (
        f'the online kNN fell from {before:.1%} to {after:.1%}, by more than '
        f'{100 * margin:g} points'
      )
    # Of few test pictures the kNN may stay where nothing is told apart.
    if RANK in start and not now[RANK] >= min(MIN_RANK, start[RANK]):
      return (
        f'the features have collapsed: their effective rank fell from '
        f'{start[RANK]:.3g} to {now[RANK]:.3g}'
      )
    return None
  if now[AGREEMENT] < LEAST_AGREEMENT:
    return (
      f'pictures keep {now[AGREEMENT]:.1%} of their neighbours, fewer than '
      f'{LEAST_AGREEMENT:.0%}'
    )
  # Written so that NaN counts as a fall.
  if RANK in start and not now[RANK] >= LEAST_RANK * start[RANK]:
    return (
      f'the effective rank of the features fell from {start[RANK]:.3g} to '
      f'{now[RANK]:.3g}, below {LEAST_RANK:.0%}'
    )
  return None
