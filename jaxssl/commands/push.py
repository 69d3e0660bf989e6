"""`jaxssl push`: an encoder with a model card to the Hugging Face hub."""

import argparse
from collections.abc import Sequence
import logging
import pathlib
import re
import tempfile
from typing import Any

from jaxssl import atomic_file
from jaxssl.arguments.targets import refuse_existing
from jaxssl.commands import export_weights
from jaxssl.data.optional import require
from jaxssl.errors import UserError, unknown
from jaxssl.runs import encoders, model_card
from jaxssl.train.workdir import Workdir
from jaxssl.weights import timm_model
from jaxssl.weights.exported import ExportedEncoder

_REPOSITORY = re.compile(r'[\w-][\w.-]*/[\w-][\w.-]*')
# Identifiers as the hub has them, for example cc-by-nc-4.0.
_LICENCE = re.compile(r'[a-z0-9][a-z0-9.+-]*')
_log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the arguments of the command."""
  parser.add_argument('repository', help='owner/name at the hub')
  parser.add_argument('--workdir', required=True, help='folder of the run')
  parser.add_argument(
    '--licence',
    '--license',
    metavar='NAME',
    help='of the weights: apache-2.0, cc-by-nc-4.0, other, ...; must be given',
  )
  parser.add_argument(
    '--format',
    default='safetensors',
    metavar='NAME',
    help=f'of the files: {", ".join(model_card.LIBRARIES)}; default: the first',
  )
  parser.add_argument('--step', type=int, help='checkpoint; default: newest')
  parser.add_argument(
    '--private', action='store_true', help='nobody else sees the repository'
  )
  parser.add_argument(
    '--update', action='store_true', help='the repository may exist already'
  )
  parser.add_argument(
    '--out', help='write what would be pushed to this folder, and push nothing'
  )


def run(arguments: argparse.Namespace, overrides: Sequence[str]) -> int:
  """Exports the encoder, writes its card, and uploads both in one commit."""
  if overrides:
    raise UserError('push takes no --config.* arguments')
  _check(arguments)
  hub: Any = require('huggingface_hub', extra='hub')
  if arguments.out:
    out = pathlib.Path(arguments.out)
    refuse_existing(out)
    with atomic_file.folder(out) as partial:
      _write(partial, arguments, hub)
    _log.info('wrote %s; nothing was pushed', out)
    return 0
  # Asked for before minutes of exporting.
  if not hub.get_token():
    raise UserError(
      'no token of the hub: run `hf auth login`, or set HF_TOKEN to one that '
      'may write'
    )
  with tempfile.TemporaryDirectory() as folder:
    _write(pathlib.Path(folder), arguments, hub)
    place = _upload(folder, arguments, hub)
  _log.info('pushed to %s', place)
  return 0


def _check(arguments: argparse.Namespace) -> None:
  if not _REPOSITORY.fullmatch(arguments.repository):
    raise UserError(
      f'{arguments.repository!r} is no repository: give owner/name'
    )
  if arguments.format not in model_card.LIBRARIES:
    raise unknown('format', arguments.format, model_card.LIBRARIES)
  if arguments.licence is None:
    raise UserError(
      'a model card states the licence of the weights: give --licence, for '
      'example apache-2.0; of imported weights it is that of their release'
    )
  if not _LICENCE.fullmatch(arguments.licence):
    raise UserError(
      f'{arguments.licence!r} is no licence as the hub writes them, for '
      'example apache-2.0, cc-by-nc-4.0 or other'
    )


def _write(
  folder: pathlib.Path, arguments: argparse.Namespace, hub: Any
) -> None:
  workdir = Workdir(arguments.workdir)
  exported = encoders.load(workdir, step=arguments.step)
  if arguments.format == 'timm' and not timm_model.architecture(exported):
    raise UserError(
      'timm has no model of this architecture; give another --format'
    )
  export_weights.FORMATS[arguments.format](folder, exported, workdir)
  card = _card(arguments, workdir, exported, hub)
  atomic_file.write_text(folder / 'README.md', card)


def _card(
  arguments: argparse.Namespace,
  workdir: Workdir,
  exported: ExportedEncoder,
  hub: Any,
) -> str:
  scored = model_card.scores(workdir, exported.step)
  name = arguments.repository.partition('/')[2]
  told = hub.ModelCardData(
    license=arguments.licence,
    library_name=model_card.LIBRARIES[arguments.format],
    pipeline_tag='image-feature-extraction',
    tags=['jaxssl', exported.section['name']],
    model_name=name,
    eval_results=[
      hub.EvalResult(
        task_type='image-feature-extraction',
        dataset_type=one.data,
        dataset_name=one.data,
        metric_type=one.metric,
        metric_name=f'{one.metric} of {one.protocol}',
        metric_value=one.value,
      )
      for one in scored
    ]
    or None,
  )
  text = model_card.body(
    arguments.repository, arguments.format, workdir, exported, scored
  )
  return f'---\n{told.to_yaml()}\n---\n\n{text}'


def _upload(folder: str, arguments: argparse.Namespace, hub: Any) -> str:
  """Returns the address of the repository, which has the files."""
  api = hub.HfApi()
  try:
    place = api.create_repo(
      arguments.repository,
      private=arguments.private,
      exist_ok=arguments.update,
    )
    api.upload_folder(
      repo_id=arguments.repository,
      folder_path=folder,
      commit_message=f'Encoder and card, by jaxssl push ({arguments.format})',
    )
  # The client raises errors of its own, of HTTP and of the network.
  except Exception as error:
    raise _refusal(arguments.repository, error) from error
  return str(place)


def _refusal(repository: str, error: Exception) -> UserError:
  status = getattr(getattr(error, 'response', None), 'status_code', None)
  if status == 409:
    return UserError(
      f'{repository!r} exists at the hub; --update adds a commit to it'
    )
  if status in (401, 403):
    return UserError(
      f'the hub refuses the token for {repository!r} ({status}): it must be '
      'one that may write there (`hf auth login`, HF_TOKEN)'
    )
  reason = (str(error).strip() or type(error).__name__).splitlines()[0]
  return UserError(f'could not push to {repository!r}: {reason}')
