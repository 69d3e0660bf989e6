"""Byte-level BPE: CLIP's, one trained on captions, and one without merges.

All are built by the library `tokenizers`. Bytes are spelled as printable
characters, so that every text has tokens and none is unknown.
"""

from collections.abc import Iterable
import gzip
import json
from typing import Any

from jaxssl.data.optional import require
from jaxssl.errors import UserError
from jaxssl.paths import Path

START, END, PAD = '<|startoftext|>', '<|endoftext|>', '<pad>'
# 256 bytes, padding, start and end.
SMALLEST = 256 + 3

_WORD_END = '</w>'
_CLIP_WORDS = (
  r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d"
  r'|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+'
)
# Lines of OpenAI's file that are used: a version and the merges. It has more.
_CLIP_LINES = 1 + 49152 - 256 - 2


def train_bpe(texts: Iterable[str], *, vocab_size: int) -> Any:
  """Trains a tokenizer on captions.

  Words keep the space before them (as in GPT-2), so that every text comes back
  from its tokens. Ids: 0 is padding, the last one ends a text and the last but
  one starts it, as pooling at the largest id wants it.

  Args:
    texts: captions, cleaned as they will be when encoded.
    vocab_size: number of ids; fewer if the captions have not enough pairs of
      tokens that occur twice.

  Returns:
    A `tokenizers.Tokenizer`, the same for the same captions.

  Raises:
    UserError: if `vocab_size` is below `SMALLEST`.
  """
  if vocab_size < SMALLEST:
    raise UserError(
      f'vocab_size is {vocab_size}; 256 bytes and 3 special tokens need '
      f'{SMALLEST} or more'
    )
  library = require('tokenizers', extra='text')
  backend = _byte_level(library.models.BPE())
  trainer = library.trainers.BpeTrainer(
    vocab_size=vocab_size - 2,
    min_frequency=2,
    special_tokens=[PAD],
    initial_alphabet=library.pre_tokenizers.ByteLevel.alphabet(),
    show_progress=False,
  )
  backend.train_from_iterator(texts, trainer)
  return _with_ends(backend)


def plain_bytes() -> Any:
  """Returns the tokenizer that training on nothing gives: a token per byte."""
  library = require('tokenizers', extra='text')
  alphabet = sorted(library.pre_tokenizers.ByteLevel.alphabet())
  vocabulary = {token: i for i, token in enumerate([PAD, *alphabet])}
  backend = _byte_level(library.models.BPE(vocab=vocabulary, merges=[]))
  backend.add_special_tokens([PAD])
  return _with_ends(backend)


def _byte_level(model: Any) -> Any:
  library = require('tokenizers', extra='text')
  backend = library.Tokenizer(model)
  backend.normalizer = library.normalizers.NFC()
  backend.pre_tokenizer = library.pre_tokenizers.ByteLevel(
    add_prefix_space=True
  )
  backend.decoder = library.decoders.ByteLevel()
  return backend


def clip_bpe(vocab: dict[str, int], merges: list[tuple[str, str]]) -> Any:
  """Returns CLIP's tokenizer over a vocabulary.

  Source: `SimpleTokenizer` of github.com/openai/CLIP
  (clip/simple_tokenizer.py): lower-cased text is cut into words, numbers into
  digits; every word ends in a token with `</w>`.

  Args:
    vocab: token -> id, with start and end.
    merges: pairs of tokens, most frequent first.

  Raises:
    UserError: if start or end is missing, or merges do not fit the vocabulary.
  """
  library = require('tokenizers', extra='text')
  if not {START, END} <= vocab.keys():
    raise UserError(f"CLIP's vocabulary has {START} and {END}; this one not")
  try:
    model = library.models.BPE(
      vocab=vocab,
      merges=merges,
      continuing_subword_prefix='',
      end_of_word_suffix=_WORD_END,
      unk_token=END,
    )
  # The library raises bare exceptions.
  except Exception as error:
    raise UserError(f"CLIP's merges and vocabulary differ: {error}") from error
  backend = library.Tokenizer(model)
  split = library.pre_tokenizers.Split(
    library.Regex(_CLIP_WORDS), behavior='removed', invert=True
  )
  backend.normalizer = library.normalizers.Sequence(
    [
      library.normalizers.NFC(),
      library.normalizers.Replace(library.Regex(r'\s+'), ' '),
      library.normalizers.Lowercase(),
    ]
  )
  backend.pre_tokenizer = library.pre_tokenizers.Sequence(
    [
      split,
      library.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ]
  )
  backend.decoder = library.decoders.ByteLevel()
  return _with_ends(backend)


def read_clip_folder(folder: Path) -> Any:
  """Reads `vocab.json` and `merges.txt`, as transformers writes them."""
  vocab = json.loads((folder / 'vocab.json').read_text(encoding='utf-8'))
  lines = (folder / 'merges.txt').read_text(encoding='utf-8').splitlines()
  return clip_bpe(vocab, _pairs(lines))


def read_clip_merges(path: Path) -> Any:
  """Reads the gzipped list of merges that comes with OpenAI's code.

  The vocabulary follows from it: the bytes, the bytes that end a word, the
  merged tokens, start and end.
  """
  library = require('tokenizers', extra='text')
  lines = gzip.decompress(path.read_bytes()).decode().splitlines()
  pairs = _pairs(lines[:_CLIP_LINES])
  # By code point: bytes that print as themselves, then those that do not.
  alphabet = sorted(library.pre_tokenizers.ByteLevel.alphabet())
  tokens = [
    *alphabet,
    *(token + _WORD_END for token in alphabet),
    *(''.join(pair) for pair in pairs),
    START,
    END,
  ]
  return clip_bpe({token: i for i, token in enumerate(tokens)}, pairs)


def _pairs(lines: list[str]) -> list[tuple[str, str]]:
  # The first line names a version.
  lines = lines[1:] if lines[:1] and lines[0].startswith(('#', '"')) else lines
  # Not two tokens: a ValueError, which tells that it is another file.
  return [(a, b) for a, b in (line.split() for line in lines if line.strip())]


def _with_ends(backend: Any) -> Any:
  """Puts start and end around every text."""
  library = require('tokenizers', extra='text')
  backend.add_special_tokens([START, END])
  backend.post_processor = library.processors.TemplateProcessing(
    single=f'{START} $A {END}',
    special_tokens=[(t, backend.token_to_id(t)) for t in (START, END)],
  )
  return backend
