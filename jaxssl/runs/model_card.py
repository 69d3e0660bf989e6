"""What a model card says of an encoder, from the files of its workdir."""

from collections.abc import Mapping, Sequence
import dataclasses
import json
import os
from typing import Any

import jaxssl
from jaxssl.printable import printable
from jaxssl.runs import recipe, results, sources
from jaxssl.train.workdir import Workdir
from jaxssl.weights.exported import ExportedEncoder

# Format of the files -> the library that the hub knows them by.
LIBRARIES = {
  'safetensors': 'jaxssl',
  'timm': 'timm',
  'huggingface': 'transformers',
  'stablehlo': 'jax',
  'onnx': 'onnx',
}
# Format -> how the files are used; the id of the repository goes in.
_USES = {
  'safetensors': (
    'import jaxssl\n\n'
    "model = jaxssl.load('{id}')\n"
    "images = model.preprocess(['picture.jpg'])\n"
    'features, _ = model.encoder.apply(model.variables, images)'
  ),
  'timm': (
    "import timm\n\nmodel = timm.create_model('hf-hub:{id}', pretrained=True)"
  ),
  'huggingface': (
    'from transformers import AutoImageProcessor, AutoModel\n\n'
    "processor = AutoImageProcessor.from_pretrained('{id}')\n"
    "model = AutoModel.from_pretrained('{id}')"
  ),
  'stablehlo': (
    'import pathlib\n\nimport huggingface_hub\nimport jax\n'
    'from safetensors.numpy import load_file\n\n'
    "folder = pathlib.Path(huggingface_hub.snapshot_download('{id}'))\n"
    "program = (folder / 'encoder.stablehlo').read_bytes()\n"
    "weights = load_file(folder / 'encoder.safetensors')\n"
    'encoder = jax.export.deserialize(program)\n'
    "features = encoder.call(weights, pixels)['features']"
  ),
  'onnx': (
    'import huggingface_hub\nimport onnxruntime\n\n'
    "folder = huggingface_hub.snapshot_download('{id}')\n"
    "session = onnxruntime.InferenceSession(folder + '/encoder.onnx')\n"
    "features, *patches = session.run(None, {{'pixels': pixels}})"
  ),
}
# Sections of a config that say how it was trained. The others name files and
# devices of a machine, and are not published.
_SECTIONS = ('encoder', 'head', 'method', 'augment', 'optim', 'text_encoder')
_TRAIN = ('steps', 'epochs', 'batch_size', 'micro_batches')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scored:
  """The first number of a result.

  Attributes:
    protocol: what was evaluated, with its version.
    data: short name of the data, and what of them, if not all.
    metric: name of the number.
    value: the number.
    beside: numbers of what has not learned, by name.
  """

  protocol: str
  data: str
  metric: str
  value: float
  beside: Mapping[str, float]


def scores(workdir: Workdir, step: int) -> list[Scored]:
  """Returns the results of the encoder of a step; others' are left out."""
  found = results.read_results(workdir.path).values()
  return [_scored(result) for result in found if result.get('step') == step]


def _scored(result: Mapping[str, Any]) -> Scored:
  metric, value = next(iter(result['metrics'].items()))
  others = {'chance': result.get('chance', {}), **result.get('baselines', {})}
  return Scored(
    protocol=result['protocol'],
    data=results.what_of(result),
    metric=metric,
    value=value,
    beside={n: m[metric] for n, m in others.items() if metric in m},
  )


def body(
  repository: str,
  kind: str,
  workdir: Workdir,
  exported: ExportedEncoder,
  scored: Sequence[Scored],
) -> str:
  """Returns the text of the card, in Markdown.

  Paths of this machine are not in it: of files only their names.

  Args:
    repository: `owner/name`.
    kind: format of the files, a key of `LIBRARIES`.
    workdir: the run, or imported weights, whose config tells of no training.
    exported: the encoder.
    scored: its results.
  """
  config = workdir.read_config() if workdir.config_path.exists() else None
  # Of imported towers it says what they are, not how they were trained.
  if config is not None and 'train' not in config:
    config = None
  parts = [
    f'# {repository.partition("/")[2]}',
    _sentence(exported, config),
    f'## Use\n\n```python\n{_USES[kind].format(id=repository)}\n```',
    _pictures(exported),
    _training(exported, config),
    _evaluation(scored),
    f'Written by `jaxssl push` of jaxssl {jaxssl.__version__}.',
  ]
  return '\n\n'.join(part for part in parts if part) + '\n'


def _sentence(
  exported: ExportedEncoder, config: Mapping[str, Any] | None
) -> str:
  name = exported.section['name']
  steps = exported.step
  if config is None:
    training = f'after {steps} steps of training'
    come = training if steps else 'imported from released weights'
    return f'The encoder `{name}`, {come}.'
  method = config['method']['name']
  return f'The encoder `{name}`, trained with `{method}` for {steps} steps.'


def _pictures(exported: ExportedEncoder) -> str:
  rule = dataclasses.asdict(exported.preprocessing)
  text = json.dumps(rule, indent=2)
  return f'## Pictures\n\nThey are prepared so:\n\n```json\n{text}\n```'


def _training(
  exported: ExportedEncoder, config: Mapping[str, Any] | None
) -> str:
  if config is None:
    return ''
  data = config.get('data') or {}
  rows = {
    'data': sources.data_name(data) if data else 'not said',
    'fingerprint of the data': recipe.training_data(config) or 'not to be told',
    'step': exported.step,
    'seed': config['seed'],
    'hash of the config': exported.config_hash,
    **{key: config['train'].get(key) for key in _TRAIN},
  }
  lines = [
    f'| {key} | {_cell(value)} |'
    for key, value in rows.items()
    if value is not None
  ]
  sections = {key: config[key] for key in _SECTIONS if config.get(key)}
  text = json.dumps(_without_paths(sections), indent=2, default=str)
  return (
    '## Training\n\n| | |\n|---|---|\n'
    + '\n'.join(lines)
    + f'\n\n```json\n{text}\n```'
  )


def _evaluation(scored: Sequence[Scored]) -> str:
  if not scored:
    return '## Evaluation\n\nThis encoder was not evaluated.'
  lines = ['| protocol | data | metric | value | beside it |']
  lines += ['|---|---|---|---|---|']
  for one in scored:
    beside = ', '.join(f'{n} {x:.4g}' for n, x in one.beside.items()) or '-'
    cells = (one.protocol, one.data, one.metric, f'{one.value:.4g}', beside)
    lines.append(f'| {" | ".join(map(_cell, cells))} |')
  return '## Evaluation\n\n' + '\n'.join(lines)


def _cell(value: Any) -> str:
  """Returns a text that cannot end its cell; names can be of data."""
  return printable(str(value)).replace('|', r'\|').replace('<', '&lt;')


def _without_paths(value: Any) -> Any:
  """Returns plain values with the last parts of places in place of them."""
  if isinstance(value, Mapping):
    return {key: _without_paths(child) for key, child in value.items()}
  if isinstance(value, list | tuple):
    return [_without_paths(child) for child in value]
  if not isinstance(value, str):
    return value
  is_path = value.startswith(('/', '~')) or '://' in value
  return os.path.basename(value.rstrip('/')) if is_path else value
