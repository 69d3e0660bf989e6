"""Results on disk, which say which protocol they are of."""

import datetime
import importlib.metadata
import json
import os
import platform
import re
from typing import Any

import jaxssl
from jaxssl import atomic_file, errors
from jaxssl.evals.evaluation import Evaluation
from jaxssl.evals.settings import settings_of
from jaxssl.evals.table import Metrics
from jaxssl.paths import Path, make_path


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
    workdir: folder of the run.
    protocol: what was run, with its settings.
    data_name: what it was run on, for example `'photos'`; characters that do
      not suit a file name become `_` in the name of the file.
    metrics: what came out, finite numbers.
    config_hash: hash of the config of the run, see `jaxssl.config`.
    step: step of the checkpoint.
    seed: seed of the run.

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


def _versions() -> dict[str, str]:
  libraries = ('jax', 'jaxlib', 'flax', 'optax', 'numpy', 'scipy')
  return {
    'jaxssl': jaxssl.__version__,
    'python': platform.python_version(),
    **{name: importlib.metadata.version(name) for name in libraries},
  }
