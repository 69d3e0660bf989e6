"""The encoders that an evaluation compares: trained, and without training."""

from collections.abc import Callable, Iterator
import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp

from jaxssl.evals import features, patch_features
from jaxssl.evals.features import Encode
from jaxssl.evals.patch_features import PatchEncoder
from jaxssl.weights.exported import ExportedEncoder

TRAINED = 'trained encoder'
_UNTRAINED = 'untrained encoder'
_START = 'starting encoder'


def encoders(
  exported: ExportedEncoder,
  *,
  layer: str | None,
  baselines: bool,
  start: Callable[[], ExportedEncoder | None] = lambda: None,
) -> dict[str, Encode]:
  """Returns functions of images by name, the trained encoder last.

  Args:
    exported: the trained encoder.
    layer: an intermediate in place of its features.
    baselines: also raw pixels, a colour histogram, and what training began
      with.
    start: opens the weights that training began with; None: random ones.

  Raises:
    jaxssl.errors.UserError: if the encoder has no such layer.
  """

  def encode(variables: Any, normalize: Any = exported.normalize) -> Encode:
    return features.encode_fn(exported.encoder, variables, normalize, layer)

  # Before the baselines take their time and are kept.
  if layer is not None:
    features.require_layer(
      exported.encoder,
      exported.variables,
      exported.normalize,
      layer,
      rule=exported.preprocessing,
    )
  trained = {TRAINED: encode(exported.variables)}
  if not baselines:
    return trained
  began = start()
  return {
    'raw pixels': features.raw_pixels,
    'colour histogram': _histogram(exported),
    **(
      {_START: encode(began.variables, began.normalize)}
      if began
      else {_UNTRAINED: encode(_random_variables(exported))}
    ),
    **trained,
  }


def patch_encoders(
  exported: ExportedEncoder,
  *,
  layer: str | None,
  size: int | None,
  baselines: bool,
  start: Callable[[], ExportedEncoder | None] = lambda: None,
) -> Iterator[tuple[str, PatchEncoder]]:
  """Returns functions of windows by name, the trained encoder last.

  Args:
    exported: the trained encoder.
    layer: an intermediate in place of its last map.
    size: side of the windows in pixels, rounded down to whole patches; None:
      that of the pictures of the encoder.
    baselines: also the pixels of each patch, and what training began with.
    start: opens the weights that training began with; None: random ones.

  Raises:
    jaxssl.errors.UserError: at once, if the encoder has no such layer, or a
      window has no whole patch.
  """
  stride = patch_features.stride_of(
    exported.encoder, exported.variables, exported.preprocessing, layer
  )
  window = patch_features.window_of(size or exported.image_size, stride)

  def of(encode: Encode) -> PatchEncoder:
    rule = exported.preprocessing.interpolation
    return PatchEncoder(
      encode=encode, size=window, stride=stride, interpolation=rule
    )

  def encode(weights: ExportedEncoder) -> Encode:
    return features.encode_fn(
      weights.encoder, weights.variables, weights.normalize, layer, spatial=True
    )

  def found() -> Iterator[tuple[str, PatchEncoder]]:
    if baselines:
      began = start()
      yield 'raw patch colours', of(patch_features.raw_colors(stride))
      if began:
        yield _START, of(encode(began))
      else:
        # Compiled only where it is needed.
        weights = _random_variables(exported)
        random = dataclasses.replace(exported, variables=weights)
        yield _UNTRAINED, of(encode(random))
    yield TRAINED, of(encode(exported))

  return found()


def trainable(
  exported: ExportedEncoder, *, baselines: bool
) -> dict[str, ExportedEncoder]:
  """Returns the encoder by name, with `baselines` also with random weights."""
  if not baselines:
    return {TRAINED: exported}
  untrained = dataclasses.replace(
    exported,
    variables=_random_variables(exported),
    config_hash='untrained',
    step=0,
  )
  return {_UNTRAINED: untrained, TRAINED: exported}


def _random_variables(exported: ExportedEncoder) -> Any:
  size = exported.image_size
  return jax.jit(exported.encoder.init)(
    jax.random.key(0), jnp.zeros((1, size, size, exported.num_channels))
  )


def _histogram(exported: ExportedEncoder) -> Encode:
  if exported.preprocessing.bands is None:
    return features.color_histogram
  return functools.partial(
    features.channel_histogram, normalize=exported.normalize
  )
