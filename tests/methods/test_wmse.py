import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.errors import UserError
from jaxssl.methods import WMSE
from jaxssl.methods.wmse import projector
from tests.tiny import TinyEncoder

HEAD = projector(hidden_dim=12, out_dim=3)


def _loss(num_views, **fields):
  method = WMSE(encoder=TinyEncoder(), head=HEAD, **fields)
  keys = jax.random.split(jax.random.key(0), num_views)
  batch = {'views': [jax.random.normal(k, (16, 16, 16, 3)) for k in keys]}
  params, state = jax.jit(method.init)(jax.random.key(0), batch)
  loss, _ = jax.jit(method.loss)(
    params, state, batch, key=jax.random.key(1), step=jnp.zeros((), int)
  )
  return loss, params, state, batch


def test_loss_is_the_mean_distance_of_all_pairs_of_views():
  """Whitened with NumPy's inverse of Cholesky's factor, in float64."""
  loss, params, state, batch = _loss(3, group=8)
  net = WMSE(encoder=TinyEncoder(), head=HEAD)
  white = []
  for view in batch['views']:
    (features, _), _ = net.encoder.apply(
      {'params': params['encoder'], **_part(state, 'encoder')},
      view,
      train=True,
      mutable=['batch_stats'],
    )
    z, _ = HEAD.apply(
      {'params': params['head'], **_part(state, 'head')},
      features,
      train=True,
      mutable=['batch_stats'],
    )
    parts = []
    for part in np.split(np.array(z, np.float64), 2):
      factor = np.linalg.cholesky(np.cov(part.T))
      parts.append((part - part.mean(0)) @ np.linalg.inv(factor).T)
    y = np.concatenate(parts)
    white.append(y / np.linalg.norm(y, axis=1, keepdims=True))
  distances = [
    ((white[v] - white[u]) ** 2).sum(1).mean()
    for v, u in ((0, 1), (0, 2), (1, 2))
  ]
  # float32 against float64.
  np.testing.assert_allclose(loss, np.mean(distances), rtol=1e-3)


def _part(state, name):
  return {kind: tree[name] for kind, tree in state.items() if name in tree}


def test_one_view_has_no_pair():
  with pytest.raises(UserError, match='at least 2 views'):
    _loss(1)
