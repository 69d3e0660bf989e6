import gzip
import json
import unicodedata

import chex
import numpy as np
import pytest

from jaxssl.errors import UserError
from jaxssl.text import bpe, make_tokenizer
from jaxssl.text import clean as clean_lib

CAPTIONS = [
  'a photo of a cat',
  'a photo of a dog',
  'the cat and the dog',
  'ein schöner Tag',
] * 3
HARD = (
  '',
  ' ',
  'A photo of  a CAT.',
  "it's the dog's, they'll say",
  'Fish &amp; chips &amp;lt;3',
  'naïve café, Ünïcode, e\u0301',
  '猫の写真',
  '🐈‍⬛👩🏽‍🚀 🇺🇦',
  '1234 x2',
  'tab\tand\nnewline\u00a0space',
  '!!!??? ... --',
  'a <|endoftext|> b',
  'photo ' * 100,
  '猫🐈' * 60,
  # What ftfy mends before CLIP's authors look at a text.
  'schÃ¶n, âœ” done',
  '“curly” ‘quotes’ — l’été…',
  'ﬁne ｆｕｌｌ Ｈｅｌｌｏ！ ㎏ ①',
  'a\x00b\x07c \x1b[31mred \ufeffbom \x85 \u2028',
  '<b>bold</b> &lt;i&gt;&nbsp;&eacute; &#x1F600; &amp;amp;amp;',
  'İstanbul Straße ΣΑΣ ſ ŉ \u212b ½ Ⅷ ٣',
  'हिन्दी العربية ไทย 한국어 \u1112\u1161\u11ab',
  "don't DON'T we'Ve 'S",
  '100,000.50€ snake_case a\u00adb x\u200by',
)


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
  path = tmp_path_factory.mktemp('tokenizer') / 'tokenizer.json'
  bpe.train_bpe(CAPTIONS, vocab_size=290).save(str(path))
  return path


@pytest.fixture(scope='module')
def merges():
  """Merges of CLIP's kind: pairs within words that end in </w>."""
  letters = [
    ('a', 't</w>'),
    ('c', 'at</w>'),
    ('p', 'h'),
    ('o', 't'),
    ('ph', 'ot'),
    ('phot', 'o</w>'),
    ('o', 'f</w>'),
    ('Ã', '©</w>'),
    ('!', '!'),
    ('!!', '!</w>'),
  ]
  return letters


@pytest.fixture(scope='module')
def openai_file(merges, tmp_path_factory):
  lines = ['"bpe_simple_vocab_16e6.txt#version: 0.2', *map(' '.join, merges)]
  path = tmp_path_factory.mktemp('openai') / 'bpe_simple_vocab_16e6.txt.gz'
  path.write_bytes(gzip.compress('\n'.join(lines).encode()))
  return path


@pytest.fixture(scope='module')
def clip_folder(openai_file, merges, tmp_path_factory):
  """The same vocabulary as transformers writes it."""
  folder = tmp_path_factory.mktemp('clip')
  vocab = bpe.read_clip_merges(openai_file).get_vocab()
  (folder / 'vocab.json').write_text(json.dumps(vocab))
  lines = ['#version: 0.2', *map(' '.join, merges)]
  (folder / 'merges.txt').write_text('\n'.join(lines), encoding='utf-8')
  return folder


@pytest.mark.reference
def test_clip_equals_transformers(clip_folder, openai_file):
  from transformers import CLIPTokenizer

  vocab = json.loads((clip_folder / 'vocab.json').read_text())
  lines = (clip_folder / 'merges.txt').read_text(encoding='utf-8').split('\n')
  theirs = CLIPTokenizer(
    vocab=vocab, merges=[tuple(line.split()) for line in lines[1:]]
  )
  # The cleaning is ours to do: theirs does not unescape HTML.
  cleaned = make_tokenizer(tokenizer=str(clip_folder)).cleaned(HARD)
  expected = theirs(
    cleaned, padding='max_length', max_length=20, truncation=True
  )
  filler = vocab['<|endoftext|>']
  for path in (clip_folder, openai_file):
    ours = make_tokenizer(
      tokenizer=str(path), length=20, pad='<|endoftext|>'
    ).encode(HARD)
    np.testing.assert_array_equal(ours, expected['input_ids'])
    assert (ours[0, 2:] == filler).all()


@pytest.fixture(scope='module')
def published():
  """The file of OpenAI, as open_clip ships it, and open_clip's tokenizer."""
  from open_clip.tokenizer import SimpleTokenizer, default_bpe

  return default_bpe(), SimpleTokenizer()


@pytest.mark.reference
def test_published_vocabulary_equals_open_clip(published):
  path, theirs = published
  ours = make_tokenizer(tokenizer=path)
  assert ours.vocab_size == theirs.vocab_size == 49408
  # A text that spells a special token: open_clip has renamed those.
  texts = [text for text in HARD if '<|endoftext|>' not in text]
  np.testing.assert_array_equal(ours.encode(texts), theirs(texts).numpy())
  short = make_tokenizer(tokenizer=path, length=9)
  found = short.encode(texts)
  np.testing.assert_array_equal(found, theirs(texts, 9).numpy())
  assert (found.max(axis=1) == short.end_id).all()


@pytest.mark.reference
def test_published_vocabulary_equals_transformers(published):
  from transformers import CLIPTokenizer

  path, _ = published
  ours = make_tokenizer(tokenizer=path, pad='<|endoftext|>')
  vocab = ours.backend.get_vocab()
  merges = json.loads(ours.backend.to_str())['model']['merges']
  theirs = CLIPTokenizer(vocab=vocab, merges=[tuple(pair) for pair in merges])
  expected = theirs(
    ours.cleaned(HARD), padding='max_length', max_length=77, truncation=True
  )
  np.testing.assert_array_equal(ours.encode(HARD), expected['input_ids'])


def test_ids_of_the_openai_file_are_those_of_its_layout(openai_file, merges):
  vocab = bpe.read_clip_merges(openai_file).get_vocab()
  assert vocab['!'] == 0
  assert vocab['!</w>'] == 256
  assert vocab['at</w>'] == 512
  assert vocab['<|startoftext|>'] == 512 + len(merges)
  assert vocab['<|endoftext|>'] == 513 + len(merges)


@pytest.mark.parametrize('kind', ['bytes', 'trained'])
def test_every_text_comes_back_from_its_tokens(kind, trained):
  name = 'bytes' if kind == 'bytes' else str(trained)
  tokenizer = make_tokenizer(tokenizer=name, length=200, clean='none')
  for text in HARD[2:11]:
    (ids,) = tokenizer.encode([text])
    decoded = tokenizer.backend.decode(ids.tolist())
    assert decoded.strip() == unicodedata.normalize('NFC', text).strip()


def test_rows_start_end_and_fill_as_documented(trained):
  tokenizer = make_tokenizer(tokenizer=str(trained), length=12)
  ids = tokenizer.encode(['a cat', 'photo ' * 50])
  chex.assert_shape(ids, (2, 12))
  assert ids.dtype == np.int32
  start, end = tokenizer.vocab_size - 2, tokenizer.vocab_size - 1
  assert tokenizer.end_id == end
  assert (ids[:, 0] == start).all()
  short = ids[0].tolist()
  assert short[short.index(end) + 1 :] == [0] * (11 - short.index(end))
  # Too long: cut, and the end kept.
  assert ids[1, -1] == end
  assert (ids[1, :-1] != end).all()
  # Pooling at the largest id finds the end.
  assert (ids.max(axis=1) == end).all()


def test_training_merges_what_is_frequent_and_is_the_same_twice(trained):
  again = bpe.train_bpe(CAPTIONS, vocab_size=290)
  assert again.to_str() == bpe.train_bpe(CAPTIONS, vocab_size=290).to_str()
  assert again.get_vocab_size() == 290
  tokenizer = make_tokenizer(tokenizer=str(trained))
  plain = make_tokenizer()
  assert plain.vocab_size == bpe.SMALLEST
  count = [
    (t.encode(['a photo of a cat']) != 0).sum() for t in (tokenizer, plain)
  ]
  assert count[0] < count[1]


def test_fingerprint_tells_settings_apart(trained):
  prints = {
    make_tokenizer(**kwargs).fingerprint
    for kwargs in (
      {},
      {'length': 20},
      {'clean': 'none'},
      {'tokenizer': str(trained)},
    )
  }
  assert len(prints) == 4


@pytest.fixture(scope='module')
def unigram(tmp_path_factory):
  """Of SigLIP's kind: sentence pieces, no start, padded with the end."""
  import tokenizers

  pieces = ['<pad>', '</s>', '<unk>', '▁', '▁a', '▁cat', 'c', 'a', 't', 's']
  backend = tokenizers.Tokenizer(
    tokenizers.models.Unigram(
      [(piece, -float(i)) for i, piece in enumerate(pieces)], unk_id=2
    )
  )
  backend.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
  path = tmp_path_factory.mktemp('unigram') / 'tokenizer.json'
  backend.save(str(path))
  return path


def test_sentence_pieces_get_a_sticky_end(unigram):
  tokenizer = make_tokenizer(
    tokenizer=str(unigram), length=6, clean='siglip', pad='</s>'
  )
  ids = tokenizer.encode(['A cat!', 'cats cats cats cats'])
  assert ids[0].tolist() == [4, 5, 1, 1, 1, 1]
  assert ids[1].tolist() == [5, 9, 5, 9, 5, 1]


@pytest.mark.parametrize(
  ('section', 'message'),
  [
    ({'tokenizer': '/no/such.json'}, 'does not exist'),
    ({'length': 2}, '3 or more'),
    ({'clean': 'clop'}, "did you mean 'clip'"),
    ({'end': '[SEP]'}, r"no token '\[SEP\]'"),
    ({'pad': '[PAD]'}, r"no token '\[PAD\]'"),
  ],
)
def test_mistakes_are_told_in_one_line(section, message):
  with pytest.raises(UserError, match=message) as error:
    make_tokenizer(**section)
  assert '\n' not in str(error.value)


@pytest.mark.parametrize('content', ['{}', 'no json', '{"model": 3}'])
def test_a_file_that_is_no_tokenizer_is_told(content, tmp_path):
  path = tmp_path / 'tokenizer.json'
  path.write_text(content)
  with pytest.raises(UserError, match='no tokenizer'):
    make_tokenizer(tokenizer=str(path))


def test_too_small_a_vocabulary_is_told():
  with pytest.raises(UserError, match='259 or more'):
    bpe.train_bpe(CAPTIONS, vocab_size=100)


def test_a_text_is_cut_before_it_is_cleaned(monkeypatch):
  lengths = []

  def clean(text):
    lengths.append(len(text))
    return text

  monkeypatch.setitem(clean_lib.CLEANERS, 'none', clean)
  made = make_tokenizer(clean='none', length=8)
  ids = made.encode(['a' * 10_000_000, 'a' * 8])
  assert lengths == [1 << 14, 8]
  np.testing.assert_array_equal(ids[0], ids[1])
