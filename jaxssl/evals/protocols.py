"""The table of all evaluations, by the names of the command line.

Two numbers compare only if they come from the same protocol. A new protocol is
a file of its own and a row here; a new version replaces the value, not the key.
"""

from collections.abc import Mapping, Sequence
import dataclasses
from typing import Any

from jaxssl import errors
from jaxssl.evals import finetune, linear, linear_segmentation
from jaxssl.evals.clip_logistic import ClipLogistic
from jaxssl.evals.correspondence import Correspondence
from jaxssl.evals.corruptions import Corruptions
from jaxssl.evals.discovery import Discovery
from jaxssl.evals.evaluation import Evaluation
from jaxssl.evals.few_shot import FewShot
from jaxssl.evals.image_linear import ImageLinear
from jaxssl.evals.knn import Knn
from jaxssl.evals.knn_segmentation import KnnSegmentation
from jaxssl.evals.linear_depth import LinearDepth
from jaxssl.evals.logistic import Logistic
from jaxssl.evals.needs import in_words
from jaxssl.evals.retrieval import Retrieval
from jaxssl.evals.settings import settings, settings_of, summary
from jaxssl.evals.shift import Shift
from jaxssl.evals.wise_ft import WiseFT
from jaxssl.evals.zeroshot import ZeroShot

PROTOCOLS: dict[str, Evaluation] = {
  'knn': Knn(),
  'linear': linear.Linear(),
  'linear_mae': linear.MAE,
  'linear_images': ImageLinear(),
  'logistic': Logistic(),
  'logistic_clip': ClipLogistic(),
  'fewshot': FewShot(),
  'zeroshot': ZeroShot(),
  'retrieval': Retrieval(),
  'finetune': finetune.SMALL,
  'finetune_mae': finetune.MAE,
  'finetune_beit': finetune.BEIT,
  'corruptions': Corruptions(),
  'shift': Shift(),
  'wise_ft': WiseFT(),
  'linear_segmentation': linear_segmentation.LinearSegmentation(),
  'linear_segmentation_dinov2': linear_segmentation.DINOV2,
  'knn_segmentation': KnnSegmentation(),
  'linear_depth': LinearDepth(),
  'discovery': Discovery(),
  'correspondence': Correspondence(),
}


def make_protocol(name: str, **changes: Any) -> Evaluation:
  """Returns a protocol; other settings than the defaults are recorded too.

  Args:
    name: key of `PROTOCOLS`.
    **changes: settings with other values.

  Raises:
    jaxssl.errors.UserError: if the name or a setting is unknown.
  """
  if name not in PROTOCOLS:
    raise errors.unknown('protocol', name, PROTOCOLS)
  known = [setting.name for setting in settings(PROTOCOLS[name])]
  for change in changes:
    if change not in known:
      raise errors.unknown(f'setting of {name}', change, known)
  return dataclasses.replace(PROTOCOLS[name], **changes)


def restored(name: str, values: Mapping[str, Any]) -> tuple[str, Evaluation]:
  """Returns the evaluation of a result.

  Args:
    name: name of the protocol, with its version.
    values: its settings, as `settings_of` gives them; what follows from the
      data (`FILLED_IN`) is filled in again.

  Returns:
    Its name on the command line, and the evaluation.

  Raises:
    jaxssl.errors.UserError: if this version has no such protocol or setting.
  """
  known = {evaluation.name: c for c, evaluation in PROTOCOLS.items()}
  if name not in known:
    raise errors.unknown('protocol of this version of jaxssl', name, known)
  command = known[name]
  own = {setting.name for setting in settings(PROTOCOLS[command])}
  fields = settings_of(PROTOCOLS[command]).keys()
  for key in values.keys() - fields:
    raise errors.unknown(f'setting of {name}', key, fields)
  changes = {key: value for key, value in values.items() if key in own}
  evaluation = make_protocol(command, **changes)
  classifier = values.get('classifier')
  if classifier:
    _, judge = restored(
      classifier['name'], {k: v for k, v in classifier.items() if k != 'name'}
    )
    evaluation = dataclasses.replace(evaluation, classifier=judge)
  return command, evaluation


def as_words(value: Any) -> str:
  """Returns the value of a setting as it is written on a command line."""
  if value is None or value in ((), {}):
    return 'none'
  if isinstance(value, bool):
    return str(value).lower()
  if isinstance(value, float):
    return f'{value:g}'
  if isinstance(value, tuple):
    return ' '.join(
      repr(v) if isinstance(v, str) and ' ' in v else as_words(v) for v in value
    )
  return str(value)


def table_rows() -> list[list[str]]:
  """Returns a row per protocol: command, name, needs, what, settings."""
  return [
    [
      command,
      evaluation.name,
      in_words(evaluation.needs),
      summary(type(evaluation)),
      _defaults(evaluation),
    ]
    for command, evaluation in PROTOCOLS.items()
  ]


def markdown_table() -> str:
  """Returns the table of all protocols for the documentation."""
  lines = [
    ['protocol', 'name in results', 'needs', 'what', 'settings'],
    ['---'] * 5,
    *([f'`{c}`', f'`{n}`', *rest] for c, n, *rest in table_rows()),
  ]
  return '\n'.join(f'| {" | ".join(_escaped(line))} |' for line in lines)


def _defaults(evaluation: Evaluation) -> str:
  return '; '.join(
    f'{setting.name} {as_words(setting.default)}'
    for setting in settings(evaluation)
  )


def _escaped(line: Sequence[str]) -> list[str]:
  return [cell.replace('|', '\\|') for cell in line]
