"""Both towers of a CLIP as a folder for transformers."""

import json
import pathlib

from jaxssl import atomic_file, build
from jaxssl.runs import encoders, towers
from jaxssl.train.workdir import Workdir
from jaxssl.weights import huggingface_clip, preprocessors, safetensors_file


def has_text(workdir: Workdir) -> bool:
  """Returns whether a workdir is of an image-text method.

  Args:
    workdir: folder of `jaxssl train` or `jaxssl import`; the latter has no
      config if it holds one encoder alone.
  """
  if not workdir.config_path.exists():
    return False
  return 'text_encoder' in workdir.read_config()


def save(out: pathlib.Path, workdir: Workdir, *, step: int | None) -> None:
  """Writes a folder for `CLIPModel.from_pretrained`.

  `config.json` is written last, so a half-written folder is not loaded.

  Args:
    out: the folder.
    workdir: workdir of the run.
    step: checkpoint; None for the newest.

  Raises:
    UserError: for a run that is not CLIP's architecture; says why.
  """
  method = build.build_method(towers.read_config(workdir))
  huggingface_clip.check(method)
  exported = encoders.load(workdir, step=step)
  variables = {'encoder': exported.variables, **exported.towers}
  config = huggingface_clip.config(method, variables)
  # The stored positions decide the size, for which transformers has one value.
  rule = exported.preprocessing.of_size(config['vision_config']['image_size'])
  safetensors_file.write(
    out / 'model.safetensors',
    huggingface_clip.tensors(variables),
    {'format': 'pt'},  # transformers asks for it
  )
  for name, content in (
    ('preprocessor_config.json', preprocessors.to_transformers(rule)),
    ('config.json', config),
  ):
    atomic_file.write_text(out / name, json.dumps(content, indent=2) + '\n')
