import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec
import numpy as np

from jaxssl import models
from jaxssl.methods import DINO, view_rows
from jaxssl.parallel import modes
from jaxssl.planning.traffic import collective_bytes
from tests.tiny import TinyEncoder

ROWS = 16


def _views(sizes=(8, 8, 4, 4)):
  rng = np.random.default_rng(0)
  return [
    rng.normal(size=(ROWS, size, size, 3)).astype(np.float32) for size in sizes
  ]


def _exchanged(fn, views, *, state=None):
  """Compiles `fn(state, views)`, rows over 8 devices; the bytes that move."""
  mesh = modes.make_mesh()
  rows = NamedSharding(mesh, modes.ROWS)
  whole = NamedSharding(mesh, PartitionSpec())
  program = jax.jit(fn, in_shardings=(whole, rows)).lower(state, views)
  return collective_bytes(program.compile().as_text())


def test_separate_undoes_interleave():
  views = _views((8, 8, 8))
  rows = view_rows.interleave(views)
  np.testing.assert_array_equal(rows[3 * 5 + 2], views[2][5])
  np.testing.assert_array_equal(view_rows.separate(rows, 3), np.stack(views))


def test_rows_stay_on_their_device():
  views = _views((8, 8, 8))

  def interleaved(_, views):
    return view_rows.separate(2.0 * view_rows.interleave(views), 3)

  def behind_each_other(_, views):
    return 2.0 * jnp.concatenate(views)

  assert not _exchanged(interleaved, views)
  assert _exchanged(behind_each_other, views)  # or the test cannot fail


def test_dino_exchanges_nothing_but_sums():
  head = models.DINOHead(hidden_dim=12, bottleneck_dim=6, out_dim=32)
  method = DINO(encoder=TinyEncoder(), head=head)
  views = _views()
  state = jax.jit(method.init)(jax.random.key(0), {'views': views})

  def gradient(state, views):
    return jax.value_and_grad(method.loss, has_aux=True)(
      *state, {'views': views}, key=jax.random.key(1), step=jnp.zeros((), int)
    )

  assert _exchanged(gradient, views, state=state).keys() == {'all-reduce'}
