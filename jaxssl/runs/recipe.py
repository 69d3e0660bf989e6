"""What a result must say so that its number can be had again."""

from collections.abc import Mapping
import contextlib
import dataclasses
import os
import re
from typing import Any

from flax import traverse_util
import jax
import numpy as np

from jaxssl import checksums, data
from jaxssl import config as config_lib
from jaxssl.config.recomputation import recomputes
from jaxssl.data import places
from jaxssl.data.chosen import is_pattern, several
from jaxssl.data.source import Source
from jaxssl.errors import UserError
from jaxssl.parallel import compiler_options, processes
from jaxssl.runs.opened import OpenedRun
from jaxssl.runs.sources import DataChoice
from jaxssl.train.workdir import Workdir
from jaxssl.weights.exported import ExportedEncoder

# Fields of `OpenedRun` that choose what is looked at, besides data and step.
_CHOSEN = ('layer', 'train_split', 'test_split', 'split')


def of_run(run: OpenedRun, exported: ExportedEncoder) -> dict[str, Any]:
  """Returns the recipe of a result, plain values.

  Args:
    run: what was evaluated; the data that it has opened are named.
    exported: the encoder that was evaluated.

  Returns:
    `config` of the training run; `longer_after`, the steps after which it
    became longer; `code`, `device`, `weights` and `training_data` (hashes, None
    where it cannot be told); `compiler_options`, with which this code compiles
    the training step on this device; `data`, a hash for each split that was
    read; `choice` and the other arguments of `OpenedRun`.
  """
  config = _config(run.workdir)
  return {
    'config': config,
    'longer_after': _longer_after(run.workdir),
    'code': processes.code_version(),
    'device': jax.devices()[0].device_kind,
    'compiler_options': _compiler_options(config),
    'weights': _weights(exported),
    'training_data': training_data(config),
    'data': {name: s.identity for name, s in _opened(run).items()},
    'choice': dataclasses.asdict(_absolute(run.choice)),
    **{name: getattr(run, name) for name in _CHOSEN},
  }


def open_run(recipe: Mapping[str, Any], workdir: Workdir) -> OpenedRun:
  """Opens a workdir as the run of a result was opened, at its newest step.

  Args:
    recipe: what `of_run` returned, also after JSON.
    workdir: workdir of a run with the same config.

  Raises:
    UserError: if the recipe is not one of this version.
  """
  try:
    choice = DataChoice(**config_lib.to_plain(recipe['choice']))
    chosen = {name: recipe[name] for name in _CHOSEN}
  except (KeyError, TypeError) as error:
    raise UserError(
      f'the recipe of the result is not one of this version ({error}); check '
      f'out {recipe.get("code")}'
    ) from error
  return OpenedRun(workdir=workdir, choice=choice, **chosen)


def _config(workdir: Workdir) -> config_lib.Config | None:
  return workdir.read_config() if workdir.config_path.exists() else None


def _compiler_options(config: Mapping[str, Any] | None) -> dict[str, Any]:
  train = (config or {}).get('train') or {}
  options = compiler_options.of_step(
    jax.devices()[0],
    mode=train.get('mode', 'jit'),
    deterministic=train.get('deterministic', False),
    recomputes=recomputes(config or {}),
  )
  return dict(options)


def _longer_after(workdir: Workdir) -> list[int]:
  names = [path.name for path in workdir.path.glob('config.until-*.json')]
  return sorted(int(re.sub(r'\D', '', name)) for name in names)


def training_data(config: Mapping[str, Any] | None) -> str | None:
  """Returns the hash of the training pictures; None where they are gone."""
  if not config or not config.get('data'):
    return None  # imported weights
  with contextlib.suppress(UserError, OSError):
    return data.make_source(**config['data']).identity
  return None


def _weights(exported: ExportedEncoder) -> str:
  flat = traverse_util.flatten_dict(dict(exported.variables), sep='.')
  arrays = {name: np.asarray(array) for name, array in flat.items()}
  return f'{checksums.of_tensors(arrays):08x}'


def _opened(run: OpenedRun) -> dict[str, Source]:
  """Returns the splits that were read, by name."""
  opened = vars(run)  # of a property that is kept, only what was used
  if 'splits' in opened:
    splits = run.splits
    return {
      splits.train: splits.train_source,
      splits.test: splits.test_source,
    }
  return {'source': run.source} if 'source' in opened else {}


def _absolute(choice: DataChoice) -> DataChoice:
  if choice.data is None:
    return choice
  names = [
    places.absolute(name) if os.path.exists(name) or is_pattern(name) else name
    for name in several(choice.data)
  ]
  named = names[0] if len(names) == 1 else names
  return dataclasses.replace(choice, data=named)
