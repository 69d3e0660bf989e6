"""Accuracies of an encoder and its linear classifier on several sets."""

from collections.abc import Mapping, Sequence
import dataclasses
from typing import Any

import numpy as np

from jaxssl import finite
from jaxssl.data.source import Source
from jaxssl.errors import UserError
from jaxssl.evals import features as features_lib
from jaxssl.evals import labels as labels_lib
from jaxssl.evals import shifted_sets
from jaxssl.evals.wise_ft import PER_CLASS, REFERENCE
from jaxssl.runs import sources
from jaxssl.weights.exported import ExportedEncoder


@dataclasses.dataclass(frozen=True, kw_only=True)
class TunedJudge:
  """Accuracies of encoder and classifier on all sets.

  Attributes:
    exported: the encoder and what it expects of its images.
    classes: the classifier's, in the order of its columns.
    sources: images by name of the set; `reference` is without shift.
    class_map: see `shifted_sets.CLASS_MAP`.
    limit: at most so many images of a set.
  """

  exported: ExportedEncoder
  classes: Sequence[str]
  sources: Mapping[str, Source]
  class_map: Mapping[str, str | None] | None
  limit: int | None

  def __call__(self, variables: Mapping[str, Any]) -> dict[str, float]:
    """Returns what `WiseFT.run` asks for, among the classes of each set.

    Args:
      variables: `encoder`, Flax variables; `classifier`, `kernel` [D, C] and
        `bias` [C].
    """
    exported = self.exported
    encode = features_lib.encode_fn(
      exported.encoder, variables['encoder'], exported.normalize
    )
    found: dict[str, float] = {}
    for name, source in self.sources.items():
      judged = self._judge(encode, name, source, variables['classifier'])
      found[name] = judged['top1']
      found[name + PER_CLASS] = judged['mean_per_class']
    return found

  def _judge(
    self,
    encode: features_lib.Encode,
    name: str,
    source: Source,
    classifier: Mapping[str, Any],
  ) -> dict[str, float]:
    found = features_lib.extract(
      encode,
      sources.batches(source, self.exported, limit=self.limit),
      class_names=source.class_names or (),
    )
    classes = self.classes
    class_map = None if name == REFERENCE else self.class_map
    labels = shifted_sets.mapped_labels(found, classes, class_map)
    among = np.unique(labels[labels >= 0])
    if not len(among):
      raise UserError(
        f'{name} shares no class with {list(classes[:3])}...; give '
        '--class_map FILE'
      )
    labels_lib.require_several(labels, name, classes)
    kernel, bias = (np.asarray(classifier[k]) for k in ('kernel', 'bias'))
    if len(bias) != len(classes):
      raise UserError(
        f'the classifier has {len(bias)} classes and the data {len(classes)}; '
        'give the --data of the fine-tuning'
      )
    known = labels >= 0
    logits = (found.features @ kernel + bias)[known][:, among]
    finite.require_rows(logits, f'logits of {name}')
    return labels_lib.accuracies(among[logits.argmax(1)], labels[known])


def variables_of(exported: ExportedEncoder) -> dict[str, Any]:
  """Returns what `TunedJudge` takes of a fine-tuned encoder."""
  return {
    'encoder': exported.variables,
    'classifier': exported.towers['classifier'],
  }
