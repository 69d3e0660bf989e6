"""The jaxssl side of the quality benchmark."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.quality import pipeline_recipes
from benchmarks.quality.pipeline_recipes import SIZE, VIT, WIDTH, Recipe
from jaxssl import build, data
from jaxssl.augment import color, geometry, jitter
from jaxssl.augment.crop_spec import CropSpec
from jaxssl.augment.view import Augment, View
from jaxssl.evals.features import encode_fn
from jaxssl.methods.base import Method
from jaxssl.ops import schedules
from jaxssl.parallel import modes
from jaxssl.train import optim
from jaxssl.train.learner import Learner
from jaxssl.train.state import TrainState

_SIZES = {'dim' if k == 'embed_dim' else k: v for k, v in VIT.items()}
ENCODERS = {
  'resnet': {'name': 'resnet18', 'width': WIDTH},
  'vit': {'name': 'vit_s4', 'position': 'sincos_mae', **_SIZES},
}


def make_method(name: str) -> Method:
  """Returns the method of a recipe."""
  recipe = pipeline_recipes.RECIPES[name]
  return build.build_method(
    {
      'method': {'name': name, **recipe.method},
      'encoder': ENCODERS[recipe.encoder],
      'head': {'name': name, **recipe.head} if recipe.head else {},
      'text_encoder': {},
    }
  )


def make_augment(recipe: Recipe) -> Augment:
  """Returns the views with torchvision's arithmetic."""
  ops = [geometry.random_flip_left_right]
  if recipe.color:
    wide = functools.partial(
      jitter.random_color_jitter,
      brightness=0.4,
      contrast=0.4,
      saturation=0.4,
      hue=0.1,
      prob=0.8,
    )
    ops += [wide, color.random_gray]
  return Augment(
    views=tuple(
      View(crop=CropSpec(size=side, scale=(low, high)), ops=tuple(ops))
      for side, low, high in recipe.crops
    )
  )


def make_tx(recipe: Recipe) -> Any:
  """Returns the optimizer."""
  adamw = recipe.optimizer == 'adamw'
  return optim.make_optimizer(
    name=recipe.optimizer,
    learning_rate=schedules.cosine(
      start=recipe.learning_rate, num_steps=recipe.steps
    ),
    weight_decay=recipe.weight_decay,
    **({'b2': 0.95, 'exclude': 'ndim<=1'} if adamw else {}),
  )


class Ours:
  """Compiles once for all seeds."""

  def __init__(self, name: str, images: np.ndarray):
    self._recipe = pipeline_recipes.RECIPES[name]
    self.method = make_method(name)
    self._learner = Learner(
      method=self.method,
      augment=make_augment(self._recipe),
      tx=make_tx(self._recipe),
    )
    self._source = data.Arrays(images, np.full(len(images), -1))
    self._mode = modes.make_mode('jit', num_devices=1)
    self._step = self._mode.compile(self._learner.step)

  def start(self, seed: int) -> TrainState:
    """Returns the state of step zero."""
    batch = {'image': jnp.zeros((self._recipe.batch, SIZE, SIZE, 3), jnp.uint8)}
    return self._mode.init(self._learner.init, jax.random.key(seed), batch)

  def train(self, state: TrainState, seed: int) -> tuple[TrainState, float]:
    """Trains a state (which is used up); returns it and the last loss."""
    batches = data.train_batches(
      self._source, batch_size=self._recipe.batch, seed=seed
    )
    for _ in range(self._recipe.steps):
      batch = self._mode.put_batch({'image': next(batches)['image']})
      state, metrics = self._step(state, batch)
    batches.close()
    return state, float(metrics['loss'])

  def encode_fn(self, state: TrainState) -> Any:
    """Returns the exported encoder as a function of uint8 images."""
    towers = self.method.export(state.params, state.method_state)
    normalize = self._learner.augment.normalize
    return encode_fn(self.method.encoder, towers['encoder'], normalize)
