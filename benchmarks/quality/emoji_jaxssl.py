"""The jaxssl side of the emoji benchmark."""

from collections.abc import Sequence
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.quality.emoji_recipe import RECIPE, SIZE, Emoji
from jaxssl import build, data
from jaxssl.augment import jitter
from jaxssl.augment.crop_spec import CropSpec
from jaxssl.augment.view import Augment, View
from jaxssl.methods.base import Method
from jaxssl.ops import schedules
from jaxssl.parallel import modes
from jaxssl.text.tokenizer import Tokenizer
from jaxssl.train import optim
from jaxssl.train.learner import Learner
from jaxssl.train.state import TrainState

AUGMENT = Augment(
  views=(
    View(
      crop=CropSpec(size=SIZE, scale=RECIPE.scale),
      ops=(
        functools.partial(
          jitter.random_color_jitter,
          brightness=0.4,
          contrast=0.4,
          saturation=0.4,
          hue=0.1,
          prob=RECIPE.jitter,
        ),
      ),
    ),
  ),
)


def make_method(tokenizer: Tokenizer) -> Method:
  """Returns CLIP with the towers of the recipe."""
  sizes = {'vocab_size': tokenizer.vocab_size, 'length': RECIPE.length}
  return build.build_method(
    {
      'method': {'name': 'clip'},
      'encoder': {'name': 'resnet18', 'width': RECIPE.width},
      'text_encoder': {'name': 'clip_512', **sizes, **RECIPE.text},
      'head': {'name': 'clip', 'out_dim': RECIPE.out_dim},
    }
  )


class Ours:
  """Compiles once for all seeds."""

  def __init__(self, emoji: Emoji, tokenizer: Tokenizer):
    self.method = make_method(tokenizer)
    self._source, self._tokenizer = emoji.source, tokenizer
    tx = optim.make_optimizer(
      name='adamw',
      learning_rate=schedules.cosine(
        start=RECIPE.learning_rate,
        num_steps=RECIPE.steps,
        warmup_steps=RECIPE.warmup,
      ),
      weight_decay=RECIPE.weight_decay,
      b2=0.98,
      epsilon=1e-6,
      exclude='ndim<=1',
    )
    self._learner = Learner(method=self.method, augment=AUGMENT, tx=tx)
    self._mode = modes.make_mode('jit', num_devices=1)
    self._step = self._mode.compile(self._learner.step)
    self._images = jax.jit(self.method.encode_image)
    self._texts = jax.jit(self.method.encode_text)

  def start(self, seed: int) -> TrainState:
    """Returns the state of step zero."""
    batch = {
      'image': jnp.zeros((2, SIZE, SIZE, 3), jnp.uint8),
      'text': jnp.zeros((2, RECIPE.length), jnp.int32),
    }
    return self._mode.init(self._learner.init, jax.random.key(seed), batch)

  def towers(self, state: TrainState) -> Any:
    """Returns the networks without the optimizer, on the host."""
    return jax.device_get(self.method.export(state.params, state.method_state))

  def train(self, state: TrainState, seed: int) -> tuple[TrainState, float]:
    """Trains a state (which is used up); returns it and the last loss."""
    batches = data.train_batches(
      self._source,
      batch_size=RECIPE.batch,
      seed=seed,
      encode_text=self._tokenizer.encode,
    )
    for _ in range(RECIPE.steps):
      batch = next(batches)
      batch = self._mode.put_batch({k: batch[k] for k in ('image', 'text')})
      state, metrics = self._step(state, batch)
    batches.close()
    return state, float(metrics['loss'])

  def encode_image(self, towers: Any, images: np.ndarray) -> np.ndarray:
    """Returns unit vectors of uint8 images."""
    return np.asarray(self._images(towers, AUGMENT.normalize(images)))

  def encode_text(self, towers: Any, texts: Sequence[str]) -> np.ndarray:
    """Returns unit vectors of texts."""
    return np.asarray(self._texts(towers, self._tokenizer.encode(texts)))
