"""Sets of another distribution: how they are named, and their classes."""

from collections.abc import Mapping, Sequence
import json
import pathlib
from typing import Any

import numpy as np

from jaxssl import errors
from jaxssl.evals.features import Features
from jaxssl.evals.settings import as_text


def require(protocol: str, shifted: Mapping[str, str]) -> None:
  """Raises `UserError` if there is no set."""
  if not shifted:
    raise errors.UserError(
      f'{protocol} needs --shifted NAME=DATA, at least one'
    )


def _named_sets(texts: Sequence[str]) -> dict[str, str]:
  sets: dict[str, str] = {}
  for text in texts:
    name, equals, value = text.partition('=')
    if not (name and equals and value):
      raise errors.UserError(
        f'--shifted takes NAME=DATA, for example v2=imagenet_v2; got {text!r}'
      )
    if name in sets:
      raise errors.UserError(f'--shifted names {name!r} twice')
    sets[name] = value
  return sets


def _read_class_map(path: str) -> dict[str, str | None]:
  found = read_json(path, '--class_map')
  good = isinstance(found, dict) and all(
    isinstance(value, str | None) for value in found.values()
  )
  if not good:
    raise errors.UserError(
      f'--class_map {path} must be one JSON object of names, '
      '{"class of the set": "class of the data", "another": null}'
    )
  return found


# Of a field of shifted sets: name -> what each is read from.
NAMED = as_text(_named_sets, 'NAME=DATA')
# Of a field that maps the classes of a set to those of the data, or to None
# where a class does not count; None in its place: classes of the same name.
CLASS_MAP = as_text(lambda texts: _read_class_map(*texts), 'FILE')


def read_json(path: str, flag: str) -> Any:
  """Returns what a JSON file of the user holds.

  Args:
    path: the file.
    flag: where it was given, for messages.

  Raises:
    jaxssl.errors.UserError: if there is no such file, or it is no JSON.
  """
  try:
    return json.loads(pathlib.Path(path).read_text(encoding='utf-8'))
  except FileNotFoundError as error:
    raise errors.UserError(f'{flag}: file {path!r} does not exist') from error
  except ValueError as error:
    raise errors.UserError(
      f'{flag}: {path} is no JSON file: {error}'
    ) from error


def mapped_labels(
  features: Features,
  names: Sequence[str],
  class_map: Mapping[str, str | None] | None,
) -> np.ndarray:
  """Returns the labels of a shifted set in the numbers of the reference.

  Args:
    features: with labels and class names of the shifted set.
    names: classes of the reference.
    class_map: see `CLASS_MAP`.

  Returns:
    int32 [n], -1 for rows whose class does not count.

  Raises:
    jaxssl.errors.UserError: if the map names a class that there is not.
  """
  number = {name: i for i, name in enumerate(names)}
  new = np.full(len(features.class_names) + 1, -1, np.int32)
  for label, name in enumerate(features.class_names):
    wanted = name if class_map is None else class_map.get(name)
    if class_map is not None and wanted is not None and wanted not in number:
      raise errors.unknown('class in the map', wanted, names)
    new[label] = -1 if wanted is None else number.get(wanted, -1)
  # A label of -1 meets the last entry.
  return new[features.labels]
