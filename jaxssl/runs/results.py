"""Results on disk, which say which protocol they are of."""

from collections.abc import Mapping
import contextlib
import datetime
import hashlib
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
  place: str | None = None,
  records: Mapping[str, Any] | None = None,
  recipe: Mapping[str, Any] | None = None,
  compared: Mapping[str, Mapping[str, Any]] | None = None,
) -> Path:
  """Writes `results/<protocol>-<data>.json` in a workdir.

  An earlier result of the same protocol and data is replaced. Where that name
  is taken by data of another place (`one/birds`, `two/birds`), eight digits
  that stand for the place are added to it. The file appears whole or not at
  all.

  Args:
    workdir: folder of the run.
    protocol: what was run, with its settings.
    data_name: what it was run on, for example `'photos'`; characters that do
      not suit a file name become `_` in the name of the file.
    metrics: what came out, finite numbers.
    config_hash: hash of the config of the run, see `jaxssl.config`.
    step: step of the checkpoint.
    seed: seed of the run.
    place: where the data lie; None: nothing else has this short name.
    records: the splits with their sizes, and what they share.
    recipe: what `jaxssl reproduce` needs, see `jaxssl.runs.recipe`.
    compared: what the metrics are to be compared with: those of `chance`, of
      `baselines` by name, and the signs of `collapse`.

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
    'versions': versions(),
    'date': datetime.datetime.now(datetime.UTC).isoformat(timespec='seconds'),
  }
  if place is not None:
    result['place'] = place
  if records is not None:
    result['records'] = dict(records)
  if recipe is not None:
    result['recipe'] = dict(recipe)
  result |= {name: dict(part) for name, part in (compared or {}).items()}
  stem = re.sub(r'[^A-Za-z0-9._-]+', '_', f'{protocol.name}-{data_name}')
  folder = make_path(workdir) / 'results'
  layer, limit = _part(result)
  stem += f'-{layer}' if layer else ''
  there = _result_at(folder / f'{stem}.json')
  # A part does not take the place of the whole, or of another part.
  if limit and there and _part(there)[1] != limit:
    stem += f'-limit{limit}'
  path = _free_or_own(folder, stem, place)
  text = json.dumps(result, indent=2, allow_nan=False) + '\n'
  atomic_file.write_text(path, text)
  return path


def what_of(result: Mapping[str, Any]) -> str:
  """Returns the data of a result, and what of encoder and data it is of."""
  layer, limit = _part(result)
  words = [result.get('data', '')]
  words += [f'layer {layer}'] if layer else []
  words += [f'{limit} pictures a split'] if limit else []
  return ', '.join(words)


def _part(result: Mapping[str, Any]) -> tuple[str | None, int | None]:
  """Returns layer and limit; of earlier versions nothing is known."""
  recipe = result.get('recipe') or {}
  return recipe.get('layer'), (recipe.get('choice') or {}).get('limit')


def _result_at(path: Path) -> dict[str, Any]:
  """Returns a result; empty if there is none, as something else may be lost."""
  try:
    found = json.loads(path.read_text(encoding='utf-8'))
  except (OSError, ValueError):
    return {}
  return found if isinstance(found, dict) else {}


def _free_or_own(folder: Path, stem: str, place: str | None) -> Path:
  """Returns the name of a result, which data of another place do not have."""
  path = folder / f'{stem}.json'
  if place is None:
    return path
  digest = hashlib.sha256(place.encode(errors='surrogateescape'))
  own = folder / f'{stem}-{digest.hexdigest()[:8]}.json'
  # Results of earlier versions do not say where their data lay.
  is_taken = _result_at(path).get('place') not in (None, place)
  return own if is_taken or own.exists() else path


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


def versions() -> dict[str, str]:
  """Returns the versions of jaxssl, Python and the libraries that count."""
  # Pillow resizes the pictures, and not every version to the same pixels.
  libraries = ('jax', 'jaxlib', 'flax', 'optax', 'numpy', 'scipy', 'pillow')
  found = {
    'jaxssl': jaxssl.__version__,
    'python': platform.python_version(),
  }
  for name in libraries:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
      found[name] = importlib.metadata.version(name)
  return found
