"""`jaxssl tokenizer`: a tokenizer from the captions of a data set."""

import argparse
from collections.abc import Iterator, Sequence
import logging
import pathlib

from jaxssl import atomic_file, data, defaults
from jaxssl.arguments import data_choice, targets
from jaxssl.errors import UserError, unknown
from jaxssl.text import bpe
from jaxssl.text.clean import CLEANERS, LONGEST

ACTIONS = ('train',)
_log = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the arguments of the command."""
  parser.add_argument('action', help=f'one of {", ".join(ACTIONS)}')
  parser.add_argument(
    '--data',
    required=True,
    help='a source of pairs, or a .txt file with a caption a line',
  )
  parser.add_argument(
    '--vocab_size', type=int, default=8192, help='token ids; default: 8192'
  )
  parser.add_argument('--out', required=True, help='.json file to write')
  parser.add_argument(
    '--clean',
    default='clip',
    help='as config.text.clean of the runs; default: clip',
  )


def run(arguments: argparse.Namespace, overrides: Sequence[str]) -> int:
  """Writes a tokenizer.json; never over something else.

  Arguments of the source are given as `--config.data.captions=txt`.
  """
  if arguments.action not in ACTIONS:
    raise unknown('action of tokenizer', arguments.action, ACTIONS)
  if arguments.clean not in CLEANERS:
    raise unknown('cleaning', arguments.clean, CLEANERS)
  out = pathlib.Path(arguments.out)
  targets.check_file(out, suffix='.json')
  if out.exists():
    raise UserError(f'{str(out)!r} exists; choose another --out')
  clean = CLEANERS[arguments.clean]
  texts = (text[:LONGEST] for text in _captions(arguments.data, overrides))
  backend = bpe.train_bpe(map(clean, texts), vocab_size=arguments.vocab_size)
  atomic_file.write_text(out, backend.to_str(pretty=True))
  _log.info('wrote %s: %d tokens', out, backend.get_vocab_size())
  return 0


def _captions(name: str, overrides: Sequence[str]) -> Iterator[str]:
  if name.endswith('.txt'):
    if overrides:
      raise UserError('a .txt file takes no --config.* arguments')
    return iter(_lines(pathlib.Path(name).expanduser()))
  section = {**defaults.data_section(name), **data_choice.changes(overrides)}
  source = data.make_source(**section)
  if source.captions is None:
    raise UserError(f'{source.name} has no captions to train a tokenizer on')
  captions = source.captions
  # Each record's captions, although several records may share theirs: what is
  # frequent in the data is frequent here.
  return (text for i in range(len(captions)) for text in captions[i])


def _lines(path: pathlib.Path) -> list[str]:
  try:
    return path.read_text(encoding='utf-8', errors='replace').splitlines()
  except OSError as error:
    raise UserError(f'cannot read {str(path)!r}: {error.strerror}') from error
