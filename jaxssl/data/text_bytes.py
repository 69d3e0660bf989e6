"""Bytes that people and programs have written as texts."""

import codecs

_MARKS = {
  codecs.BOM_UTF8: 'utf-8',
  codecs.BOM_UTF16_LE: 'utf-16-le',
  codecs.BOM_UTF16_BE: 'utf-16-be',
}


def decoded(content: bytes, *, errors: str = 'replace') -> str:
  """Returns a text in UTF-8, or in what its byte order mark says.

  Args:
    content: the text, with or without a mark, which is removed.
    errors: what to do with bytes that are no text, see `bytes.decode`.
  """
  for mark, encoding in _MARKS.items():
    if content.startswith(mark):
      return content[len(mark) :].decode(encoding, errors)
  return content.decode(errors=errors)
