"""Texts of data as a terminal, a log or a picture may show them.

File names, class names and captions are whatever others have written. An escape
sequence in one would move the cursor or change the title of a terminal, a line
break would forge a line of the log, and a change of the writing direction would
show another name than the one that is there.
"""

import logging
import re

# Controls, halves of surrogate pairs (names that are no UTF-8), line and
# paragraph separators, and marks that change the writing direction.
_UNSAFE = re.compile(
  '[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]'
)
_PACKAGE = 'jaxssl'


def printable(text: str) -> str:
  """Returns the text in one line, with escapes such as `\\x1b` and `\\n`.

  What is printable stays as it is, in any script; an escaped text does not
  change when it is escaped again.
  """
  return _UNSAFE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
  return match[0].encode('unicode_escape').decode()


class Formatter(logging.Formatter):
  """Escapes what this package logs, and leaves the lines of others apart."""

  def formatMessage(self, record: logging.LogRecord) -> str:
    """Returns the line of a record."""
    lines = record.message.split('\n')
    if record.name.partition('.')[0] == _PACKAGE:
      record.message = printable(record.message)
    else:
      record.message = '\n'.join(map(printable, lines))
    return super().formatMessage(record)
