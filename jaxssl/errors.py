"""Errors that are the user's to mend, told in one line."""

from collections.abc import Iterable, Sequence
import re

from jaxssl import nearest
from jaxssl.printable import printable

# Exit codes of the command line beside 0. After 1 and 42 the same command goes
# on.
EXIT_LOST = 1  # another process of the run was lost
EXIT_DIFFERS = 1  # a result was not reproduced
EXIT_USAGE = 2  # bad usage, config or data
EXIT_GUARDED = 3  # the guard ended the run; its best encoder is kept
EXIT_PREEMPTED = 42  # stopped on request, after saving
EXIT_INTERRUPTED = 130  # Ctrl-C where there is nothing to save

_MOST = 40  # names that a message lists


class UserError(ValueError):
  """A mistake in what the user gave: a name, a value, a file, a folder.

  The message is one line that says what is wrong and what would be right. The
  command line prints it without a traceback and exits with code 2; code that
  uses the library catches it as a `ValueError`.

  Args:
    message: what is wrong. It may quote names from data and errors of libraries
      as they are: line breaks become blanks, other controls are escaped.
  """

  def __init__(self, message: str):
    super().__init__(printable(re.sub(r'\s*\n\s*', ' ', message.strip())))


class LostProcessError(UserError):
  """Another process of the run has ended, or is out of reach.

  Nothing that was given need be wrong: the command line exits with code 1, not
  2, and the same commands go on.
  """


def first_of(items: Sequence[str], most: int, *, separator: str = '; ') -> str:
  """Returns the first of some texts, and how many there are besides.

  Args:
    items: the texts.
    most: how many are named.
    separator: what stands between them.
  """
  shown = separator.join(items[:most])
  rest = len(items) - most
  return f'{shown} and {rest} more' if rest > 0 else shown


def unknown(kind: str, name: object, options: Iterable[str]) -> UserError:
  """Returns the error for a name that is not one of `options`.

  Args:
    kind: what the name stands for, for example `'method'`.
    name: what the user gave.
    options: the names that would be right.

  Returns:
    An error that offers the closest names, or a list if none is close.
  """
  options = list(options)
  hint = nearest.hint(str(name), options)
  if not hint:
    more = ', ...' if len(options) > _MOST else ''
    hint = 'known: ' + ', '.join(sorted(options)[:_MOST]) + more
  return UserError(f'unknown {kind} {str(name)!r}; {hint}')
