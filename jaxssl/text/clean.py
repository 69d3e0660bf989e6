"""What is done to a caption before a tokenizer sees it."""

from collections.abc import Callable
import html
import string

_NO_PUNCTUATION = str.maketrans('', '', string.punctuation)


def keep(text: str) -> str:
  """Returns the text as it is."""
  return text


def clip(text: str) -> str:
  """Unescapes HTML twice, collapses white space, lower-cases.

  Twice, because captions from the web are often escaped once too much
  (`&amp;lt;`).

  Source: `basic_clean`, `whitespace_clean` of github.com/openai/CLIP
  (clip/simple_tokenizer.py).

  Differs from it: text of broken encodings (`schÃ¶n`) is not repaired, for
  which the authors use ftfy. What ftfy does to sound text in Unicode, the
  composition of accents (NFC), is the tokenizer's work.
  """
  return _one_line(html.unescape(html.unescape(text))).lower()


def siglip(text: str) -> str:
  """Removes ASCII punctuation, collapses white space, lower-cases.

  Source: SigLIP's tokenizer in transformers (`canonicalize_text`) and
  big_vision.
  """
  return _one_line(text.lower().translate(_NO_PUNCTUATION))


# The names of `config.text.clean`.
CLEANERS: dict[str, Callable[[str], str]] = {
  'none': keep,
  'clip': clip,
  'siglip': siglip,
}


def _one_line(text: str) -> str:
  return ' '.join(text.split())
