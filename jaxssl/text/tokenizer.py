"""Captions to rows of token ids, all of one length."""

from collections.abc import Iterable, Sequence
import dataclasses
import hashlib
from typing import Any

import numpy as np

from jaxssl import atomic_file
from jaxssl.data.optional import require
from jaxssl.errors import UserError, unknown
from jaxssl.paths import Path, make_path
from jaxssl.text import bpe
from jaxssl.text.clean import CLEANERS, LONGEST

BYTES = 'bytes'
# How the tokenizers of the field call the token that ends a text.
ENDS = (bpe.END, '</s>', '[SEP]', '<eos>')
_PADS = (bpe.PAD, '[PAD]')


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tokenizer:
  """Encodes texts; made by `make_tokenizer`.

  A row is the tokens of the cleaned text, with what the tokenizer's own rules
  put around them (a start token, for example), the end token, and padding. A
  text that is too long is cut; its last token is the end token all the same.
  Of each text `clean.LONGEST` letters are read.

  Attributes:
    backend: a `tokenizers.Tokenizer` without truncation and padding.
    length: tokens of a row, L.
    clean: key of `clean.CLEANERS`.
    end_id: token that ends a text.
    pad_id: token that fills a row.
  """

  backend: Any
  length: int
  clean: str
  end_id: int
  pad_id: int

  @property
  def vocab_size(self) -> int:
    """One more than the largest id."""
    return max(self.backend.get_vocab().values()) + 1

  @property
  def fingerprint(self) -> str:
    """Hash of all that the ids of a text depend on."""
    settings = (self.length, self.clean, self.end_id, self.pad_id)
    text = f'{settings} {self.backend.to_str()}'
    return hashlib.sha256(text.encode()).hexdigest()[:32]

  def encode(self, texts: Sequence[str]) -> np.ndarray:
    """Returns the ids of texts, int32 [n, L]."""
    cleaned = self.cleaned(texts)
    ids = np.full((len(cleaned), self.length), self.pad_id, np.int32)
    for row, encoding in enumerate(self.backend.encode_batch(cleaned)):
      tokens = self._ended(encoding.ids)
      ids[row, : len(tokens)] = tokens
    return ids

  def save(self, path: Path) -> None:
    """Writes the backend as a `tokenizer.json`."""
    atomic_file.write_text(path, self.backend.to_str(pretty=True))

  def cleaned(self, texts: Iterable[str]) -> list[str]:
    """Returns texts as the tokenizer sees them."""
    clean = CLEANERS[self.clean]
    return [clean(text[:LONGEST]) for text in texts]

  def _ended(self, tokens: list[int]) -> list[int]:
    if not tokens or tokens[-1] != self.end_id:
      tokens = [*tokens, self.end_id]
    if len(tokens) > self.length:
      tokens = [*tokens[: self.length - 1], self.end_id]
    return tokens


def make_tokenizer(
  *,
  tokenizer: str = BYTES,
  length: int = 77,
  clean: str = 'clip',
  end: str | None = None,
  pad: str | None = None,
) -> Tokenizer:
  """Makes a tokenizer; the arguments are the section `text` of a config.

  Args:
    tokenizer: `'bytes'`, a token per byte and no file; or a `tokenizer.json` of
      the library `tokenizers`, as `jaxssl tokenizer train` writes it; or a
      folder with one, or with CLIP's `vocab.json` and `merges.txt`; or OpenAI's
      `bpe_simple_vocab_16e6.txt.gz`.
    length: tokens of a row, at least 3.
    clean: what is done to a text before: `'clip'` unescapes HTML, collapses
      white space and lower-cases; `'siglip'` removes punctuation instead of
      unescaping; `'none'` nothing.
    end: token that ends a text; None for the first known one of `ENDS`.
    pad: token that fills a row; None for `<pad>` or `[PAD]`, or, where there is
      neither, id 0 as CLIP does.

  Raises:
    UserError: for a file that is none, an unknown token or cleaning, or a
      length below 3.
  """
  if clean not in CLEANERS:
    raise unknown('config.text.clean', clean, CLEANERS)
  if length < 3:
    raise UserError(f'config.text.length is {length}; it must be 3 or more')
  backend = _read(tokenizer)
  backend.no_truncation()
  backend.no_padding()
  return Tokenizer(
    backend=backend,
    length=length,
    clean=clean,
    end_id=_end_id(backend, end, tokenizer),
    pad_id=_pad_id(backend, pad, tokenizer),
  )


def _read(name: str) -> Any:
  """Returns the backend that the name of a file or folder stands for."""
  if name == BYTES:
    return bpe.plain_bytes()
  path = make_path(name).expanduser()
  if (path / 'tokenizer.json').is_file():
    path = path / 'tokenizer.json'
  if not path.exists():
    raise UserError(
      f'tokenizer {name!r} does not exist; give a tokenizer.json (`jaxssl '
      f'tokenizer train` makes one) or {BYTES!r}'
    )
  try:
    if (path / 'vocab.json').is_file():
      return bpe.read_clip_folder(path)
    if path.name.endswith('.txt.gz'):
      return bpe.read_clip_merges(path)
    library = require('tokenizers', extra='text')
    return library.Tokenizer.from_str(path.read_text(encoding='utf-8'))
  except UserError:
    raise
  # The library raises bare exceptions.
  except Exception as error:
    raise UserError(f'{name} is no tokenizer.json: {error}') from error


def _end_id(backend: Any, end: str | None, name: str) -> int:
  if end is not None:
    return _id(backend, end, name)
  known = [token for token in ENDS if backend.token_to_id(token) is not None]
  if not known:
    raise UserError(
      f'{name} has none of {", ".join(ENDS)}; name the token that ends a text '
      'in config.text.end'
    )
  return backend.token_to_id(known[0])


def _pad_id(backend: Any, pad: str | None, name: str) -> int:
  if pad is not None:
    return _id(backend, pad, name)
  known = (backend.token_to_id(token) for token in _PADS)
  return next((i for i in known if i is not None), 0)


def _id(backend: Any, token: str, name: str) -> int:
  found = backend.token_to_id(token)
  if found is None:
    raise UserError(f'{name} has no token {token!r}')
  return found
