"""The command line: `jaxssl COMMAND ...`.

Exit codes: 0 done; 1 another process of the run was lost, or `reproduce` found
another number; 2 bad usage, config or data; 3 the guard ended the run; 42
stopped on request after saving; 130 stopped on request, nothing to save. All
but 0 are told in one line; after a lost process and 42 the same command goes
on.
"""

import argparse
import atexit
from collections.abc import Sequence
import contextlib
import gc
import importlib
import logging
import os
import shutil
import sys
import threading
from typing import Any, NoReturn

import jaxssl
from jaxssl import config, nearest, printable, stop_signals
from jaxssl.errors import EXIT_USAGE, UserError, unknown
from jaxssl.failures import tell
from jaxssl.train import preemption

# name -> module of jaxssl.commands, loaded when used: --help takes no JAX.
COMMANDS = {
  'train': 'pre-train an encoder; run it again to go on where it stopped',
  'adapt': 'go on with a trained encoder on your pictures, under guard',
  'eval': 'kNN, probes, fine-tuning, zero-shot, retrieval',
  'reproduce': 'from a result to the same number, and what differs',
  'embed': 'write the features of a folder or data set to a file',
  'plot': 'pictures of a run: training curve, map of the features',
  'visualize': 'what a run has learned: its pictures on one HTML page',
  'report': 'one page: what a run is, where it stands, what it learned',
  'watch': 'the report of a run on this machine, renewed while it trains',
  'doctor': 'classes, splits and copies of data, and what is left out',
  'config': 'every key of a config: what it takes, its value, its meaning',
  'completion': 'a script that completes all this: bash, zsh, fish',
  'methods': 'what --method takes, a line each',
  'encoders': 'what --encoder takes',
  'inspect': 'config, parameters and a picture of the augmented views',
  'bench': 'is the input the bottleneck, or the step, and what to change',
  'plan': 'memory, FLOPs and speed of a config on a TPU slice or a GPU',
  'import': 'published weights into a workdir',
  'search': 'the pictures that fit a sentence best (image-text runs)',
  'tokenizer': 'a tokenizer from the captions of a data set',
  'export': 'the encoder of a workdir as weights or as a program',
  'push': 'an encoder with a model card to the Hugging Face hub',
}
_EPILOG = """\
jaxssl COMMAND --help lists the arguments of a command.

--config.SECTION.KEY=VALUE replaces a value of the config, as often as given;
jaxssl config METHOD lists the keys.

DATA is one or several folders of pictures, 'patterns/*.jpg' or lists (.txt) of
them; photos, digits, a TFDS name; or a tar, TFRecord or table of pictures with
captions.

examples:
  jaxssl train --method simclr --encoder vit_s16 --data FOLDER --workdir runs/a
  jaxssl train --config quickstart --workdir runs/b --config.train.steps=200
  jaxssl eval knn linear --workdir runs/a
"""
# What an argument takes, where its name in capitals would say it twice.
_WORDS = {
  'config': 'FILE',
  'coordinator': 'HOST:PORT',
  'data_dir': 'DIR',
  'encoder': 'NAME',
  'file': 'FILE',
  'json': 'FILE',
  'layer': 'NAME',
  'method': 'NAME',
  'out': 'PATH',
  'split': 'NAME',
  'test_split': 'NAME',
  'text_encoder': 'NAME',
  'tokenizer': 'PATH',
  'train_split': 'NAME',
  'workdir': 'DIR',
}
OPTIONS = ('-h', '--help', '--version')
_MODULES = {
  'eval': 'evaluate',
  'import': 'import_weights',
  'export': 'export_weights',
}


def program() -> NoReturn:
  """The program `jaxssl`: runs a command and ends with its exit code."""
  code = main()
  _flush()
  if not (preemption.is_work_left() or stop_signals.has_unwound()):
    stop_signals.end_at_once(code)  # all is done but the end of Python
    _run_what_waits_for_the_end()
    _flush()
  # Python's own end stops the threads of libraries wherever they are. One that
  # is in C++ then aborts the process: runs that were done ended with code 134,
  # now and then.
  os._exit(code)


def _run_what_waits_for_the_end() -> None:
  """Does what Python does first at its end, in its order."""
  threading._shutdown()  # pyright: ignore[reportAttributeAccessIssue]
  atexit._run_exitfuncs()  # pyright: ignore[reportPrivateUsage]


def _flush() -> None:
  for stream in (sys.stdout, sys.stderr):
    with contextlib.suppress(OSError):
      stream.flush()


def main(argv: Sequence[str] | None = None) -> int:
  """Runs a command; returns the exit code."""
  argv = list(sys.argv[1:] if argv is None else argv)
  parser, commands = parsers()
  if not argv:
    parser.print_help()
    return EXIT_USAGE
  name = argv[0]
  try:
    if name in commands:
      return _run(name, parser, commands[name], argv)
    if name not in OPTIONS:
      raise unknown('command', name, COMMANDS)
    parser.parse_args(argv)  # prints, and exits
    return 0
  except (Exception, KeyboardInterrupt) as error:
    return tell(error, name)


def parsers() -> tuple['_Parser', dict[str, '_Parser']]:
  """The parser of the program, and by name those of the commands.

  These have no arguments yet, as their modules take JAX.
  """
  parser = _Parser(
    prog='jaxssl',
    usage='jaxssl COMMAND ...',
    epilog=_EPILOG,
  )
  parser.add_argument(
    '--version', action='version', version=f'jaxssl {jaxssl.__version__}'
  )
  commands = parser.add_subparsers(
    title='commands', metavar='COMMAND [...]', prog='jaxssl', required=True
  )
  return parser, {
    name: commands.add_parser(name, help=text, description=text)
    for name, text in COMMANDS.items()
  }


def module(name: str) -> Any:
  """Returns the module of a command."""
  return importlib.import_module(f'jaxssl.commands.{_MODULES.get(name, name)}')


def _run(
  name: str, parser: '_Parser', own: '_Parser', argv: Sequence[str]
) -> int:
  """Runs a command, whose own arguments go into its part of the parser."""
  command = module(name)
  if not gc.isenabled():  # the program itself, see `__main__`
    gc.freeze()
    gc.enable()
  command.add_arguments(own)
  # `--config.a.b=c` would be taken for `--config` with a typo.
  overrides = [a for a in argv if a.startswith(config.PREFIX)]
  config.parse_overrides(overrides)
  arguments, rest = parser.parse_known_args(
    [a for a in argv if a not in overrides]
  )
  if rest:
    raise own.unknown(rest[0])
  _start_logging()
  joined = getattr(command, 'joined', contextlib.nullcontext)
  with stop_signals.unwinding(), joined(arguments):
    _prepare_jax(getattr(command, 'PLATFORMS', None))
    return command.run(arguments, overrides)


class _Help(argparse.RawDescriptionHelpFormatter):
  """Help of at most 80 columns, with short words for what arguments take."""

  def __init__(self, prog: str):
    columns = shutil.get_terminal_size().columns
    super().__init__(prog, max_help_position=28, width=min(columns, 80) - 2)

  def _get_default_metavar_for_optional(self, action: argparse.Action) -> str:
    of_type = {int: 'N', float: 'X'}.get(action.type)  # pyright: ignore[reportArgumentType, reportCallIssue]
    return of_type or _WORDS.get(action.dest) or action.dest.upper()


class _Parser(argparse.ArgumentParser):
  """Tells a wrong argument as the rest of the program does."""

  def __init__(self, **kwargs: Any) -> None:
    super().__init__(allow_abbrev=False, formatter_class=_Help, **kwargs)

  def error(self, message: str) -> NoReturn:
    raise UserError(f'{message} (see {self.prog} --help)')

  def unknown(self, argument: str) -> UserError:
    """Returns the error for an argument that is none; offers the closest."""
    name, _, _ = argument.partition('=')
    hint = nearest.hint(name, self._option_string_actions, most=1)
    hint = f'; {hint}' if hint else ''
    return UserError(
      f'unexpected argument {argument!r}{hint} (see {self.prog} --help)'
    )


def _start_logging() -> None:
  logging.basicConfig(level=logging.WARNING, force=True)
  for handler in logging.getLogger().handlers:
    handler.setFormatter(printable.Formatter('%(message)s'))
    handler.addFilter(_is_unseen)
    handler.addFilter(_FirstOfItsKind())
  logging.getLogger('jaxssl').setLevel(logging.INFO)
  logging.raiseExceptions = False  # a log that cannot be written stops nothing


def _is_unseen(record: logging.LogRecord) -> bool:
  """Whether the terminal has not shown a record as a line of progress."""
  return not getattr(record, 'shown', False)


class _FirstOfItsKind(logging.Filter):
  """Lets a warning pass once: both splits of a folder leave out its files."""

  def __init__(self) -> None:
    super().__init__()
    self._told: set[str] = set()

  def filter(self, record: logging.LogRecord) -> bool:
    """Whether it is no warning, or a new one."""
    if record.levelno != logging.WARNING:
      return True
    text = record.getMessage()
    is_new = text not in self._told
    self._told.add(text)
    return is_new


def _prepare_jax(platforms: str | None) -> None:
  """Finds the devices; of these platforms alone if a command names them."""
  import jax

  from jaxssl import compile_cache

  if platforms:
    jax.config.update('jax_platforms', platforms)
  compile_cache.enable()
  try:
    jax.devices()
  except RuntimeError as error:
    raise UserError(
      f'JAX finds no device: {error}; choose another with JAX_PLATFORMS, for '
      'example JAX_PLATFORMS=cpu'
    ) from error
  if jax.default_backend() == 'cpu' and jax.device_count() > 1:
    # Queued collectives of several steps can deadlock on a few cores.
    jax.config.update('jax_cpu_enable_async_dispatch', False)
