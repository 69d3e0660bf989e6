"""`jaxssl completion`: a script with which a shell completes `jaxssl`."""

import argparse
from collections.abc import Callable, Iterable, Sequence

import shtab

from jaxssl import cli
from jaxssl.commands import export_weights, import_weights, tokenizer
from jaxssl.config import shipped
from jaxssl.errors import UserError, unknown
from jaxssl.evals.protocols import PROTOCOLS
from jaxssl.methods import METHODS
from jaxssl.models.variants import encoder_names, text_encoder_names
from jaxssl.text.clean import CLEANERS

SHELLS = ('bash', 'zsh', 'fish')
_HOW = """\
put the script where the shell looks for it:
  bash  ~/.local/share/bash-completion/completions/jaxssl
  zsh   _jaxssl in a folder of $fpath
  fish  ~/.config/fish/completions/jaxssl.fish

example:
  jaxssl completion fish > ~/.config/fish/completions/jaxssl.fish
"""
# Name of an argument -> the names that it takes, in all commands.
_NAMES: dict[str, Callable[[], Iterable[str]]] = {
  'clean': lambda: CLEANERS,
  'config': shipped.configs,
  'encoder': encoder_names,
  'method': lambda: METHODS,
  'protocol': lambda: PROTOCOLS,
  'shell': lambda: SHELLS,
  'text_encoder': text_encoder_names,
}
# The same, in one command.
_NAMES_OF: dict[tuple[str, str], Callable[[], Iterable[str]]] = {
  ('config', 'file'): shipped.configs,
  ('export', 'format'): lambda: export_weights.FORMATS,
  ('import', 'format'): lambda: import_weights.NAMES,
  ('tokenizer', 'action'): lambda: tokenizer.ACTIONS,
}
_FILES = ('data', 'file', 'folder', 'json', 'out', 'result', 'tokenizer')
_FOLDERS = ('data_dir', 'workdir')


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the arguments of the command."""
  parser.epilog = _HOW
  parser.add_argument('shell', help=', '.join(SHELLS))


def run(arguments: argparse.Namespace, overrides: Sequence[str]) -> int:
  """Prints the script."""
  if overrides:
    raise UserError('completion takes no --config.* arguments')
  if arguments.shell not in SHELLS:
    raise unknown('shell', arguments.shell, SHELLS)
  print(script(arguments.shell))
  return 0


def script(shell: str) -> str:
  """Returns a script that knows all commands, arguments and their names.

  Args:
    shell: one of `SHELLS`.
  """
  parser, commands = cli.parsers()
  for name, own in commands.items():
    cli.module(name).add_arguments(own)
    for action in own._actions:  # pyright: ignore[reportPrivateUsage]
      _describe(name, action)
  return shtab.complete(parser, shell=shell)


def _describe(command: str, action: argparse.Action) -> None:
  """Says in an argument, for the script alone, what it takes."""
  names = _NAMES_OF.get((command, action.dest), _NAMES.get(action.dest))
  if names is not None:
    action.choices = sorted(names())
  elif action.dest in _FILES:
    action.complete = shtab.FILE  # pyright: ignore[reportAttributeAccessIssue]
  elif action.dest in _FOLDERS:
    action.complete = shtab.DIRECTORY  # pyright: ignore[reportAttributeAccessIssue]
