"""The two towers of a workdir: images and texts to vectors of one space."""

from collections.abc import Callable, Sequence
import dataclasses
import hashlib
import json
from typing import Any

import jax
import numpy as np

from jaxssl import build, finite
from jaxssl.config import Config
from jaxssl.errors import UserError
from jaxssl.evals import features as features_lib
from jaxssl.evals.features import Features
from jaxssl.methods.base import ImageText, PyTree
from jaxssl.runs import encoders
from jaxssl.text import Tokenizer, make_tokenizer
from jaxssl.train.workdir import Workdir
from jaxssl.weights.exported import ExportedEncoder

_BATCH = 256


@dataclasses.dataclass(frozen=True, kw_only=True)
class Towers:
  """A trained image-text model.

  Attributes:
    exported: the image tower and what it expects of its images.
    encode_images: uint8 [b, H, W, 3] -> unit vectors float32 [b, K].
    encode_ids: int32 [b, L] -> unit vectors float32 [b, K].
    tokenizer: texts -> ids.
    workdir: workdir of the run; keeps the features of texts.
  """

  exported: ExportedEncoder
  encode_images: Callable[[Any], jax.Array]
  encode_ids: Callable[[Any], jax.Array]
  tokenizer: Tokenizer
  workdir: Workdir

  @property
  def fingerprint(self) -> str:
    """Names the weights."""
    return f'{self.exported.config_hash}-{self.exported.step}-joint'

  def encode_text(self, texts: Sequence[str]) -> np.ndarray:
    """Returns unit vectors of texts, float32 [n, K]; from a file if known."""
    words = json.dumps([self.tokenizer.fingerprint, *texts]).encode()
    digest = hashlib.sha256(words).hexdigest()[:32]
    found = features_lib.cached(
      self.workdir.path / 'features' / f'texts-{digest[:16]}.npz',
      f'{self.fingerprint}-{digest}',
      lambda: self._encode(texts),
    )
    return found.features

  def _encode(self, texts: Sequence[str]) -> Features:
    ids = self.tokenizer.encode(texts)
    size = min(_BATCH, len(ids))
    parts = []
    for first in range(0, len(ids), size):
      part = ids[first : first + size]
      # Batches of one size compile once.
      filled = np.pad(part, [(0, size - len(part)), (0, 0)], 'edge')
      parts.append(np.asarray(self.encode_ids(filled))[: len(part)])
    found = np.concatenate(parts)
    finite.require_rows(found, 'features of texts')
    return Features(found, np.full(len(ids), -1, np.int32))


def load(workdir: Workdir, *, step: int | None = None) -> Towers:
  """Returns the towers of a workdir, newest or of one checkpoint.

  Raises:
    UserError: if there are none, or the method of the run takes no text.
  """
  config = read_config(workdir)
  method = build_method(config)
  exported = encoders.load(workdir, step=step)
  variables = {'encoder': exported.variables, **exported.towers}
  return Towers(
    exported=exported,
    encode_images=features_lib.encode_fn(
      _ImageTower(method), variables, exported.normalize
    ),
    encode_ids=features_lib.encode_fn(_TextTower(method), variables, _as_is),
    tokenizer=make_tokenizer(**config['text']),
    workdir=workdir,
  )


def build_method(config: Config) -> ImageText:
  """Builds the method of a config with texts.

  Raises:
    UserError: if it is no method of images and texts.
  """
  method = build.build_method(config)
  if not isinstance(method, ImageText):
    raise UserError(
      f'method {config["method"]["name"]!r} has no text tower; give one '
      'of clip, siglip, siglip2 or coca'
    )
  return method


def read_config(workdir: Workdir) -> Config:
  """Returns the config of an image-text run, with the tokenizer it keeps.

  Raises:
    UserError: if there is none, or the method of the run takes no text.
  """
  config = workdir.read_config()
  if not config.get('text'):
    raise UserError(
      f'{str(workdir.path)!r} is a run of {config["method"]["name"]!r}, which '
      'knows no text; give one of clip, siglip, siglip2 or coca'
    )
  if not workdir.tokenizer.exists():
    return config
  kept = {'tokenizer': str(workdir.tokenizer)}
  return {**config, 'text': {**config['text'], **kept}}


@dataclasses.dataclass(frozen=True)
class _ImageTower:
  """An image tower with its projection, as `features.encode_fn` takes one."""

  method: ImageText

  def apply(
    self, variables: PyTree, images: jax.Array, *, train: bool
  ) -> tuple[jax.Array, dict[str, jax.Array]]:
    del train
    return self.method.encode_image(variables, images), {}


@dataclasses.dataclass(frozen=True)
class _TextTower:
  """A text tower with its projection."""

  method: ImageText

  def apply(
    self, variables: PyTree, ids: jax.Array, *, train: bool
  ) -> tuple[jax.Array, dict[str, jax.Array]]:
    del train
    return self.method.encode_text(variables, ids), {}


def _as_is(ids: jax.Array) -> jax.Array:
  return ids
