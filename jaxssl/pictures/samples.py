"""Pictures of each class of a data set, side by side."""

from collections.abc import Mapping

import numpy as np

from jaxssl.data.order import mix64
from jaxssl.data.survey import Survey
from jaxssl.data.thumbnails import thumbnails
from jaxssl.pictures import grid

_SIDE = 96
_COLUMNS = 12
_ROWS = {'train': 4, 'test': 2}
_NONE = -1
_BLANK = np.full((1, 1, 3), 255, np.uint8)


def samples(splits: Mapping[str, Survey]) -> np.ndarray:
  """Draws some pictures of each class, a column for a class.

  The pictures are whole, drawn at random but always the same, those of the
  training split above those of the test split. Of more than twelve classes,
  twelve are shown, evenly spread over their list. Without labels all columns
  are of the same kind.

  Args:
    splits: `'train'` and perhaps `'test'` -> what was found.

  Returns:
    uint8 [H, W, 3].
  """
  labels, titles = _columns(splits)
  images, captions = [], []
  for label in labels:
    column = [
      cell
      for name, survey in splits.items()
      for cell in _cells(survey, _kind(survey, labels) == label, name)
    ]
    images.append([image for image, _ in column])
    captions.append([caption for _, caption in column])
  return grid.grid(images, titles=titles, captions=captions)


def _columns(splits: Mapping[str, Survey]) -> tuple[list[int], list[str]]:
  """Returns the label of each column and its title."""
  names = splits['train'].source.class_names
  if names is None:
    return list(range(_COLUMNS)), []
  counts = sum(survey.class_counts[: len(names)] for survey in splits.values())
  there = np.flatnonzero(counts)
  chosen = np.linspace(0, len(there) - 1, min(_COLUMNS, len(there)))
  labels = there[np.round(chosen).astype(int)].tolist()
  titles = [names[label] for label in labels]
  if any(survey.num_unlabelled for survey in splits.values()):
    return [*labels, _NONE], [*titles, '(no label)']
  return labels, titles


def _kind(survey: Survey, labels: list[int]) -> np.ndarray:
  """Returns which column each record could stand in, int [n]."""
  if survey.source.class_names is not None:
    return survey.label
  return mix64(survey.index) % len(labels)


def _cells(
  survey: Survey, wanted: np.ndarray, split: str
) -> list[tuple[np.ndarray, str]]:
  """Returns some pictures, as many for each column, with a caption each."""
  rows = np.flatnonzero(wanted & survey.readable)
  rows = rows[np.argsort(mix64(survey.index[rows], 1))][: _ROWS[split]]
  indices = survey.index[rows].tolist()
  images = thumbnails(survey.source, indices, side=_SIDE)
  captions = survey.source.captions
  texts = [f'{split}: {captions[i][0]}' if captions else split for i in indices]
  missing = _ROWS[split] - len(images)
  return [*zip(images, texts, strict=True), *[(_BLANK, '')] * missing]
