"""What is done to a caption before a tokenizer sees it."""

from collections.abc import Callable
import html
import string

from jaxssl.data.optional import require

# Letters of a text that are read, where towers read some hundred tokens. The
# rest would be mended and split into tokens first, and thrown away then.
LONGEST = 1 << 14
_NO_PUNCTUATION = str.maketrans('', '', string.punctuation)


def keep(text: str) -> str:
  """Returns the text as it is."""
  return text


def clip(text: str) -> str:
  """Mends encodings, unescapes HTML twice, collapses white space, lower-cases.

  Twice, because captions from the web are often escaped once too much
  (`&amp;lt;`). What is mended is ftfy's business: text that was decoded wrongly
  (`schÃ¶n`), but also curly quotes, ligatures and full-width letters, which
  become plain ones.

  Source: `basic_clean`, `whitespace_clean` of github.com/openai/CLIP
  (clip/simple_tokenizer.py).

  Raises:
    UserError: if ftfy, of the extra `text`, is not installed.
  """
  mended = require('ftfy', extra='text').fix_text(text)
  return _one_line(html.unescape(html.unescape(mended))).lower()


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
