"""Named, versioned protocols, and results on disk that say which one it was.

Two numbers compare only if they come from the same protocol. Here a protocol
is a frozen dataclass: its fields are all the numbers, its `name`, with which
results are filed, carries a version that changes whenever a default or the
procedure behind it does. A result file repeats them all, so it stays readable
when the defaults move on.
"""

from collections.abc import Mapping
import dataclasses
import datetime
import importlib.metadata
import json
import os
import platform
import re
from typing import Any, ClassVar, Protocol

import jaxssl
from jaxssl import atomic_file, errors
from jaxssl.evals import few_shot, finetune, knn, linear, logistic
from jaxssl.evals.features import Features
from jaxssl.paths import Path, make_path

Metrics = Mapping[str, float]


class Evaluation(Protocol):
  """A protocol on features: what it is called and how it is run."""

  name: str

  def run(self, train: Features, test: Features) -> dict[str, float]:
    """Returns metrics; `top1` is the headline, a fraction of the test rows."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Knn:
  """Weighted kNN, see `knn.knn_eval`.

  Attributes:
    ks: numbers of neighbours; the first gives the headline.
    temperature: T of the weights exp(cosine / T).
  """

  name: ClassVar[str] = 'knn-v1'
  ks: tuple[int, ...] = knn.KS
  temperature: float = knn.TEMPERATURE

  def run(self, train: Features, test: Features) -> dict[str, float]:
    """See `Evaluation.run`."""
    return knn.knn_eval(train, test, **settings_of(self))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Linear:
  """Linear probe by gradient on cached features, see `linear.linear_eval`.

  Attributes:
    name: of the protocol.
    learning_rates: of the sweep, for batch 256.
    batch_size: rows of a step.
    epochs: passes over the training rows.
    momentum: of the optimizer (SGD: Nesterov).
    optimizer: `'sgd'` or `'lars'`.
    warmup_epochs: passes with a rising learning rate.
    normalize: BatchNorm before the classifiers.
    validation_share: part of the training rows to choose on.
    seed: seed of the order and of the held-out rows.
  """

  name: str = 'linear_sgd-v1'
  learning_rates: tuple[float, ...] = linear.LEARNING_RATES
  batch_size: int = linear.BATCH_SIZE
  epochs: int = linear.EPOCHS
  momentum: float = linear.MOMENTUM
  optimizer: str = 'sgd'
  warmup_epochs: float = 0.0
  normalize: bool = False
  validation_share: float = 0.2
  seed: int = 0

  def run(self, train: Features, test: Features) -> dict[str, float]:
    """See `Evaluation.run`."""
    return linear.linear_eval(train, test, **settings_of(self))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Logistic:
  """Logistic regression by L-BFGS, see `logistic.logistic_eval`.

  Attributes:
    penalties: values of λ = 1/C to choose from.
    validation_share: part of the training rows to choose on.
    seed: seed of the held-out rows.
    max_iterations: limit of the last fit.
  """

  name: ClassVar[str] = 'logistic-v1'
  penalties: tuple[float, ...] = logistic.PENALTIES
  validation_share: float = 0.2
  seed: int = 0
  max_iterations: int = logistic.MAX_ITERATIONS

  def run(self, train: Features, test: Features) -> dict[str, float]:
    """See `Evaluation.run`."""
    return logistic.logistic_eval(train, test, **settings_of(self))


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClipLogistic:
  """CLIP's linear probe, see `logistic.clip_logistic_eval`.

  Attributes:
    validation_share: part of the training rows to choose on.
    seed: seed of the held-out rows.
    max_iterations: limit of each fit.
  """

  name: ClassVar[str] = 'logistic_clip-v1'
  validation_share: float = 0.2
  seed: int = 0
  max_iterations: int = logistic.MAX_ITERATIONS

  def run(self, train: Features, test: Features) -> dict[str, float]:
    """See `Evaluation.run`."""
    return logistic.clip_logistic_eval(train, test, **settings_of(self))


@dataclasses.dataclass(frozen=True, kw_only=True)
class FewShot:
  """Logistic regression on a few images a class, see `few_shot.few_shot_eval`.

  Attributes:
    shots: labelled images a class; the last gives the headline.
    draws: how often they are drawn.
    penalty: λ of the fits.
    seed: seed of the draws.
  """

  name: ClassVar[str] = 'fewshot-v1'
  shots: tuple[int, ...] = few_shot.SHOTS
  draws: int = few_shot.DRAWS
  penalty: float = few_shot.PENALTY
  seed: int = 0

  def run(self, train: Features, test: Features) -> dict[str, float]:
    """See `Evaluation.run`."""
    return few_shot.few_shot_eval(train, test, **settings_of(self))


# MAE's, on features computed once; its learning rate is the first.
_LINEAR_MAE = Linear(
  name='linear_mae-v1',
  learning_rates=(0.1, 0.3, 1.0, 3.0, 10.0, 30.0),
  batch_size=16384,
  epochs=90,
  optimizer='lars',
  warmup_epochs=10.0,
  normalize=True,
)
# The names of the command line; a new version replaces the value, not the key.
PROTOCOLS: dict[str, Evaluation] = {
  'knn': Knn(),
  'linear': Linear(),
  'linear_mae': _LINEAR_MAE,
  'logistic': Logistic(),
  'logistic_clip': ClipLogistic(),
  'fewshot': FewShot(),
}
# Protocols that train the encoder itself: `run(encoder, train, test, folder)`.
TRAINING_PROTOCOLS: dict[str, finetune.FineTune] = finetune.PRESETS


def make_protocol(name: str, **settings: Any) -> Evaluation | finetune.FineTune:
  """Returns a protocol; other settings than the defaults are recorded too.

  Raises:
    jaxssl.errors.UserError: if the name or a setting is unknown.
  """
  table = PROTOCOLS | TRAINING_PROTOCOLS
  if name not in table:
    raise errors.unknown('protocol', name, table)
  known = settings_of(table[name])
  for setting in settings:
    if setting not in known:
      raise errors.unknown(f'setting of {name}', setting, known)
  return dataclasses.replace(table[name], **settings)


def settings_of(protocol: Evaluation | finetune.FineTune) -> dict[str, Any]:
  """Returns the fields of a protocol by name, but for its own name."""
  fields = [field.name for field in dataclasses.fields(protocol)]
  return {name: getattr(protocol, name) for name in fields if name != 'name'}


def write_result(
  workdir: str | os.PathLike[str],
  protocol: Evaluation,
  data_name: str,
  metrics: Metrics,
  *,
  config_hash: str,
  step: int,
  seed: int,
) -> Path:
  """Writes `results/<protocol>-<data>.json` in a workdir.

  An earlier result of the same protocol and data is replaced. The file appears
  whole or not at all.

  Args:
    workdir: of the run.
    protocol: what was run, with its settings.
    data_name: what it was run on, for example `'photos'`; characters that do
      not suit a file name become `_` in the name of the file.
    metrics: what came out, finite numbers.
    config_hash: of the configuration of the run, see `jaxssl.config`.
    step: of the checkpoint.
    seed: of the run.

  Returns:
    The path of the file.

  Raises:
    jaxssl.errors.UserError: if the file cannot be written.
  """
  result = {
    'protocol': protocol.name,
    'settings': settings_of(protocol),
    'data': data_name,
    'metrics': dict(metrics),
    'config_hash': config_hash,
    'step': int(step),
    'seed': int(seed),
    'versions': _versions(),
    'date': datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds'),
  }
  stem = re.sub(r'[^A-Za-z0-9._-]+', '_', f'{protocol.name}-{data_name}')
  path = make_path(workdir) / 'results' / f'{stem}.json'
  text = json.dumps(result, indent=2, allow_nan=False) + '\n'
  atomic_file.write_text(path, text)
  return path


def read_results(
  workdir: str | os.PathLike[str],
) -> dict[str, dict[str, Any]]:
  """Reads all results of a workdir.

  Returns:
    Contents of the files by name without `.json`, sorted; empty without a
    folder `results`.

  Raises:
    jaxssl.errors.UserError: if a file is not a result.
  """
  results = {}
  for path in sorted((make_path(workdir) / 'results').glob('*.json')):
    try:
      result = json.loads(path.read_text(encoding='utf-8'))
      results[path.stem] = {**result, 'metrics': dict(result['metrics'])}
    except (ValueError, TypeError, KeyError) as error:
      raise errors.UserError(
        f'{path} is not a result of an evaluation ({error}); delete it'
      ) from error
  return results


def format_table(rows: Mapping[str, Metrics], *, title: str = 'encoder') -> str:
  """Returns an aligned plain-text table of fractions, in per cent.

  Args:
    rows: for each line, name -> fractions in [0, 1] by column. Columns stand in
      the order in which they first occur; what a row lacks is shown as `-`.
    title: heading of the names.
  """
  columns = list(dict.fromkeys(name for row in rows.values() for name in row))
  cells = [[title, *columns]]
  for name, row in rows.items():
    values = [f'{100 * row[c]:.1f}' if c in row else '-' for c in columns]
    cells.append([name, *values])
  widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
  lines = ['  '.join(_aligned(line, widths)).rstrip() for line in cells]
  return '\n'.join([lines[0], '  '.join('-' * w for w in widths), *lines[1:]])


def _aligned(line: list[str], widths: list[int]) -> list[str]:
  """Names stand left, numbers right."""
  numbers = zip(line[1:], widths[1:], strict=True)
  return [line[0].ljust(widths[0]), *(n.rjust(w) for n, w in numbers)]


def _versions() -> dict[str, str]:
  libraries = ('jax', 'jaxlib', 'flax', 'optax', 'numpy', 'scipy')
  return {
    'jaxssl': jaxssl.__version__,
    'python': platform.python_version(),
    **{name: importlib.metadata.version(name) for name in libraries},
  }
