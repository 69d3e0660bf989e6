"""Initial values of transformers that a method prescribes.

Modules start as timm's do; a method whose authors start otherwise replaces the
values in its `init`: `params = reinitialize.xavier(key, params)`.
"""

from collections.abc import Callable
import re
from typing import Any

import jax
import jax.numpy as jnp

PyTree = Any
_TOKENS = ('cls_token', 'reg_token', 'mask_token')
# Projections that end a residual branch, in block i (counted from 0).
_RESIDUAL = re.compile(r'(?:^|/)blocks_(\d+)/(?:attn/proj|mlp/fc2)/kernel$')


def xavier(key: jax.Array, params: PyTree) -> PyTree:
  """Returns parameters drawn as MAE's encoder and decoder start.

  Kernels, the patch projection as a matrix [p p 3, D] and the fused qkv as
  [D, 3 D], are U(+-sqrt(6 / (fan_in + fan_out))); biases are 0; class, mask and
  register tokens N(0, 0.02). All others (scales, position tables) stay.

  Source: `initialize_weights` in models_mae.py of facebookresearch/mae.

  Args:
    key: typed PRNG key.
    params: parameters of transformers, at any depth.
  """

  def draw(name: str, key: jax.Array, leaf: jax.Array) -> jax.Array:
    del name
    return _xavier_uniform(key, leaf, fan_out=leaf.shape[-1])

  def draw_token(key: jax.Array, leaf: jax.Array) -> jax.Array:
    return 0.02 * jax.random.normal(key, leaf.shape)

  return _redraw(key, params, draw, draw_token)


def normal(key: jax.Array, params: PyTree) -> PyTree:
  """Returns parameters drawn as I-JEPA's encoder and predictor start.

  Kernels and tokens are N(0, 0.02), biases 0. All others stay.

  Source: `init_model` in src/helper.py of facebookresearch/ijepa, which draws
  every layer again and so undoes the smaller residual branches of the modules;
  its cut at 100 deviations is none.

  Args:
    key: typed PRNG key.
    params: parameters of transformers, at any depth.
  """

  def draw_token(key: jax.Array, leaf: jax.Array) -> jax.Array:
    return 0.02 * jax.random.normal(key, leaf.shape)

  def draw(name: str, key: jax.Array, leaf: jax.Array) -> jax.Array:
    del name
    return draw_token(key, leaf)

  return _redraw(key, params, draw, draw_token)


def moco_v3(key: jax.Array, params: PyTree) -> PyTree:
  """Returns the parameters of a ViT drawn as MoCo v3's start.

  Kernels are U(+-sqrt(6 / (fan_in + fan_out))), query, key and value each as
  the matrix [D, D] that it is; the patch projection as a matrix [p p 3, D];
  biases are 0. The convolutional stem, tokens (N(0, 1e-6) already), scales and
  position tables stay.

  Source: `VisionTransformerMoCo` in vits.py of facebookresearch/moco-v3.

  Args:
    key: typed PRNG key.
    params: parameters of `models.ViT`.
  """

  def draw(name: str, key: jax.Array, leaf: jax.Array) -> jax.Array:
    matrices = 3 if name.endswith('/qkv/kernel') else 1
    return _xavier_uniform(key, leaf, fan_out=leaf.shape[-1] // matrices)

  drawn = _redraw(key, params, draw, lambda key, leaf: leaf)
  # A convolutional stem has `proj_0`, `proj_1`, ... instead.
  if 'proj' in params['patch_embed']:
    return drawn
  return {**drawn, 'patch_embed': params['patch_embed']}


def truncated_normal(key: jax.Array, params: PyTree) -> PyTree:
  """Returns parameters drawn as BEiT's encoder and its classifier start.

  Kernels and tokens are N(0, 0.02) cut at +-0.02, that is at one deviation
  (effective deviation 0.0108); in block i, counted from 1, the kernels that
  end a residual branch are divided by sqrt(2 i); biases are 0. All others
  (scales, LayerScale, the bias table) stay.

  Source: `_init_weights` and `fix_init_weight` in beit/modeling_pretrain.py of
  microsoft/unilm.

  Args:
    key: typed PRNG key.
    params: parameters of transformers, at any depth.
  """

  def draw_token(key: jax.Array, leaf: jax.Array) -> jax.Array:
    return 0.02 * jax.random.truncated_normal(key, -1.0, 1.0, leaf.shape)

  def draw(name: str, key: jax.Array, leaf: jax.Array) -> jax.Array:
    block = _RESIDUAL.search(name)
    factor = (2 * (int(block[1]) + 1)) ** -0.5 if block else 1.0
    return factor * draw_token(key, leaf)

  return _redraw(key, params, draw, draw_token)


def _xavier_uniform(
  key: jax.Array, leaf: jax.Array, *, fan_out: int
) -> jax.Array:
  # All sides but the last are fan-in: [p, p, 3, D] counts as a matrix.
  limit = (6 / (leaf.size // leaf.shape[-1] + fan_out)) ** 0.5
  return jax.random.uniform(key, leaf.shape, minval=-limit, maxval=limit)


def _redraw(
  key: jax.Array,
  params: PyTree,
  draw_kernel: Callable[[str, jax.Array, jax.Array], jax.Array],
  draw_token: Callable[[jax.Array, jax.Array], jax.Array],
) -> PyTree:
  leaves, treedef = jax.tree_util.tree_flatten_with_path(params)
  # A key for each leaf, by its place in the tree.
  keys = jax.random.split(key, len(leaves))

  def redraw(
    path: tuple[Any, ...], key: jax.Array, leaf: jax.Array
  ) -> jax.Array:
    name = path[-1].key
    if name == 'kernel':
      return draw_kernel('/'.join(p.key for p in path), key, leaf)
    if name in _TOKENS:
      return draw_token(key, leaf)
    return jnp.zeros_like(leaf) if name == 'bias' else leaf

  return jax.tree.unflatten(
    treedef, [redraw(path, keys[i], x) for i, (path, x) in enumerate(leaves)]
  )
