"""What both sides of the emoji benchmark train, and on what."""

from collections.abc import Sequence
import dataclasses
import json
import pathlib
import tarfile

import numpy as np

from jaxssl import data
from jaxssl.augment.preprocessing import usual
from jaxssl.evals import prompts
from jaxssl.text import bpe
from jaxssl.text.tokenizer import Tokenizer, make_tokenizer

# As large as the files.
SIZE = 64
TEMPLATES = prompts.TEMPLATES['emoji']


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
  """One training run, in numbers that both sides read.

  A ResNet-18, which learns from few pictures what a vision
  transformer does not, and CLIP's causal text tower.

  Attributes:
    width: of the ResNet, as a multiple of the usual one.
    text: sizes of the text tower.
    out_dim: of the joint space.
    length: tokens of a caption.
    vocab_size: of the tokenizer, which is trained on the captions.
    scale: smallest and largest area of a crop.
    jitter: colour jitter of (0.4, 0.4, 0.4, 0.1) with this probability.
    learning_rate: where a cosine to 0 begins.
    warmup: steps of a linear warm-up before it. In a trial without it, with
      twice the rate and half the batch, the factor of the cosines fell from 14
      to 3 at once, and little was learned.
    weight_decay: of AdamW with (0.9, 0.98) and ε = 1e-6, of matrices only.
    steps: optimizer steps.
    batch: pairs a step.
  """

  width: float = 0.25
  text: dict[str, int]
  out_dim: int = 64
  length: int = 16
  vocab_size: int = 1024
  scale: tuple[float, float] = (0.7, 1.0)
  jitter: float = 0.5
  learning_rate: float = 1e-3
  warmup: int = 50
  weight_decay: float = 0.2
  steps: int = 600
  batch: int = 128


RECIPE = Recipe(text={'dim': 128, 'depth': 2, 'num_heads': 4})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Emoji:
  """One artist's pictures; the order is that of the file.

  Attributes:
    images: uint8 [n, 64, 64, 3].
    names: of each picture.
    tags: of each picture, in one text.
    group: of each picture.
    subgroup: of each picture.
  """

  images: np.ndarray
  names: tuple[str, ...]
  tags: tuple[str, ...]
  group: tuple[str, ...]
  subgroup: tuple[str, ...]

  @property
  def captions(self) -> list[list[str]]:
    """The name in every template, and the tags, for each picture."""
    return [
      [*(prompts.fill(t, name) for t in TEMPLATES), tags]
      for name, tags in zip(self.names, self.tags, strict=True)
    ]

  @property
  def source(self) -> data.Arrays:
    """For training."""
    return data.Arrays(self.images, captions=self.captions)


def load(path: pathlib.Path) -> Emoji:
  """Reads a tar file of emoji."""
  source = data.make_source('tar', path=str(path), split='all')
  batches = data.eval_batches(source, batch_size=256, preprocessing=usual(SIZE))
  images = np.concatenate([batch['image'][batch['mask']] for batch in batches])
  with tarfile.open(path) as file:
    facts = [
      json.load(file.extractfile(member))
      for member in file
      if member.name.endswith('.json')
    ]
  return Emoji(
    images=images,
    names=tuple(fact['label'] for fact in facts),
    tags=tuple(', '.join(fact['tags']) or fact['label'] for fact in facts),
    group=tuple(fact['group'] for fact in facts),
    subgroup=tuple(fact['subgroup'] for fact in facts),
  )


def train_tokenizer(
  captions: Sequence[Sequence[str]], path: pathlib.Path
) -> Tokenizer:
  """Returns a byte-level BPE of the captions; it is also written to a file."""
  texts = [text.lower() for record in captions for text in record]
  backend = bpe.train_bpe(texts, vocab_size=RECIPE.vocab_size)
  path.write_text(backend.to_str(), encoding='utf-8')
  return make_tokenizer(tokenizer=str(path), length=RECIPE.length)
