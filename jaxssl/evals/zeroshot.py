"""Zero-shot classification: the classes are described by text alone.

Radford et al. 2021 (CLIP, arXiv:2103.00020), section 3.1.
"""

from collections.abc import Callable, Sequence
import dataclasses
from typing import ClassVar

import numpy as np

from jaxssl import errors, finite
from jaxssl.data.source import Source
from jaxssl.evals import labels, prompts
from jaxssl.evals.features import Features
from jaxssl.evals.needs import EncodeText, TowerFeatures
from jaxssl.evals.ranks import ranks
from jaxssl.evals.table import all_metrics

# As many names as a line of an error may hold.
_SHOWN = 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class ZeroShot:
  """The class whose description is most similar to the image.

  The name of each class is filled into every template; the features of these
  texts are normalised, averaged, and normalised again. Measured with the
  templates, and with the bare names.

  Attributes:
    templates: texts with a slot {} or {c} for the name of the class: a named
      set, a file with one per line, or package.module:NAME.
    classes: file with the names of the classes, or package.module:NAME, matched
      by name, or in the order of the labels if none is a name of the data;
      data: the names of the data, _ read as a space.
  """

  name = 'zeroshot-v2'
  needs: ClassVar[type] = TowerFeatures
  templates: tuple[str, ...] = dataclasses.field(
    default=prompts.TEMPLATES['photo'], metadata=prompts.AS_TEXT
  )
  classes: str = 'data'

  table = all_metrics

  def check(self, *sources: Source) -> None:
    """Refuses data without labels, and classes that cannot be named.

    Raises:
      UserError: if there are such.
    """
    for source in sources:
      if source.class_names is None:
        raise errors.UserError(
          f'{source.name} has no labels, by which zero-shot classification '
          'would know what is right; give --data with labels'
        )
      labels.require(self, source)
      self.names(source.class_names)

  def run(
    self,
    images: Features,
    captions: Sequence[Sequence[str]],
    encode_text: EncodeText,
  ) -> dict[str, float]:
    """Classifies images by the names of their classes.

    Args:
      images: features of labelled images, with the names of the classes.
      captions: unused.
      encode_text: texts to features of the same space.

    Returns:
      `zeroshot_eval`'s metrics; `top1_names`, top-1 with nothing but the names;
      `template_gain`, what the templates add to it.
    """
    del captions
    names = self.names(images.class_names)
    described, bare = (
      zeroshot_eval(images, encode_classes(encode_text, names, templates))
      for templates in (self.templates, prompts.TEMPLATES['name'])
    )
    return {
      **described,
      'top1_names': bare['top1'],
      'template_gain': described['top1'] - bare['top1'],
    }

  def names(self, of_data: Sequence[str]) -> tuple[str, ...]:
    """Returns the names of the classes as words, in the order of the labels.

    A list with the names of the data goes by these, in whatever order; what it
    names besides may be answered too. A list with none of them gives other
    names, in the order of the labels, and has as many. Where the classes of
    the data are numbers, the list is counted from 0 and may be longer.

    Args:
      of_data: names in the data.

    Raises:
      jaxssl.errors.UserError: if list and data do not go together.
    """
    if self.classes == 'data':
      return prompts.spoken(of_data)
    names = prompts.load_class_names(self.classes)
    if len(names) >= len(of_data) and _are_numbers(of_data):
      return names
    return _by_name(self.classes, names, of_data)


def _are_numbers(names: Sequence[str]) -> bool:
  return list(names) == list(map(str, range(len(names))))


def _by_name(
  file: str, names: Sequence[str], of_data: Sequence[str]
) -> tuple[str, ...]:
  """Returns names with those of the data first; see `ZeroShot.names`."""
  listed, wanted = _keys(names), _keys(of_data)
  missing = [
    n for n, key in zip(of_data, wanted, strict=True) if key not in listed
  ]
  if len(names) == len(of_data) and (missing or listed == wanted):
    same = [a == b for a, b in zip(listed, wanted, strict=True)]
    if sum(same) == len(of_data) - len(missing):
      return tuple(names)
  if missing:
    raise errors.UserError(
      f'{file} names {len(names)} classes and the data has {len(of_data)}, of '
      f'which it lacks {missing[0]!r} ({len(missing)} in all); name every '
      'class of the data, or give as many names in the order of its labels: '
      f'{errors.first_of(of_data, _SHOWN, separator=", ")}'
    )
  for name, key in zip(of_data, wanted, strict=True):
    if listed.count(key) > 1 or wanted.count(key) > 1:
      raise errors.UserError(
        f'{name!r} stands for two classes in {file} or in the data; give as '
        'many names as there are classes, in the order of the labels'
      )
  first = [listed.index(key) for key in wanted]
  rest = sorted(set(range(len(names))) - set(first))
  return tuple(names[place] for place in (*first, *rest))


def _keys(names: Sequence[str]) -> list[str]:
  return [name.casefold() for name in prompts.spoken(names)]


def encode_classes(
  encode_text: EncodeText, names: Sequence[str], templates: Sequence[str]
) -> np.ndarray:
  """Returns the features of classes, float32 [C, K]; see `class_features`.

  Args:
    encode_text: texts -> features [n, K].
    names: names of the C classes.
    templates: texts with a `{}` for the name.

  Raises:
    UserError: if features of texts are not finite.
  """
  texts = [prompts.fill(t, name) for name in names for t in templates]
  encoded = encode_text(texts)
  finite.require_rows(encoded, 'features of texts')
  return class_features(encoded.reshape(len(names), len(templates), -1))


def class_features(text_features: np.ndarray) -> np.ndarray:
  """Averages the features of several descriptions of each class.

  w_c = n(mean_t n(x_ct)), n(x) = x / ‖x‖.

  Args:
    text_features: x, float [C, T, K], for T descriptions of each class.

  Returns:
    w, float32 [C, K].
  """
  return _unit(_unit(text_features).mean(axis=1)).astype(np.float32)


def as_classifier(
  classes: np.ndarray,
  joint: Callable[[np.ndarray], np.ndarray],
  features: np.ndarray,
  *,
  scale: float,
) -> dict[str, np.ndarray]:
  """Returns a linear classifier of features that decides as the texts do.

  For a linear projection y = P x + b of features into the joint space,

    logits_c = s / r w_c . (P x + b),  r = mean |y|

  The order of the classes is that of the cosines w_c . y / |y|. s / r makes the
  logits of the size that training saw, so that fine-tuning can start from them
  (Wortsman et al. 2022, arXiv:2109.01903, section 3, where y is normalised
  instead).

  Args:
    classes: w, float [C, K], of `class_features`.
    joint: the projection, [n, D] -> [n, K].
    features: x of some images, [n, D].
    scale: s, factor of the cosines.

  Returns:
    `kernel` float32 [D, C] and `bias` float32 [C].
  """
  dim = features.shape[1]
  origin = joint(np.zeros((1, dim), np.float32))
  linear = joint(np.eye(dim, dtype=np.float32)) - origin
  length = np.linalg.norm(joint(features), axis=1).mean()
  weights = scale / length * classes.T
  return {
    'kernel': (linear @ weights).astype(np.float32),
    'bias': (origin @ weights)[0].astype(np.float32),
  }


def zeroshot_eval(
  images: Features, classes: np.ndarray, *, chunk: int = 256
) -> dict[str, float]:
  """Measures how often the most similar class is the right one.

  Scale and bias of the logits do not matter for the order of the classes.

  Args:
    images: features of labelled images [n, K]; rows without a label are
      ignored.
    classes: features of the classes [C, K], in the order of the labels.
    chunk: images at a time.

  Returns:
    `top1`, `top5` (without it where there are 5 classes or fewer),
    `mean_per_class` (the mean over classes of their top-1), fractions in
    [0, 1]; `num_classes`, `num_test`.

  Raises:
    jaxssl.errors.UserError: without a label, or with one that has no class.
  """
  images = labels.known(images, 'test')
  labels.require_several(images.labels, 'test', images.class_names)
  count = len(classes)
  if images.labels.max() >= count:
    raise errors.UserError(
      f'the data has label {images.labels.max()}, but {count} classes are named'
    )
  place = ranks(
    images.features,
    classes,
    query_ids=images.labels,
    bank_ids=np.arange(count),
    chunk=chunk,
  )
  hits = place < 1
  top5 = {'top5': float((place < 5).mean())} if count > 5 else {}
  return {
    'top1': float(hits.mean()),
    **top5,
    'mean_per_class': labels.mean_per_class(hits, images.labels),
    'num_classes': count,
    'num_test': len(place),
  }


def _unit(x: np.ndarray) -> np.ndarray:
  x = np.asarray(x, np.float64)
  return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12)
