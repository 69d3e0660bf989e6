import chex
import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P
import pytest

from jaxssl import models
from jaxssl.ops.row_major import row_major
from jaxssl.parallel import modes
from jaxssl.planning import cuda


def test_numbers_and_gradients_stay():
  x = jnp.arange(6.0).reshape(2, 3)
  found, pullback = jax.vjp(row_major, x)
  chex.assert_trees_all_equal((found, pullback(x)), (x, (x,)))


@pytest.mark.parametrize('times', [1, 2])
def test_numbers_and_gradients_stay_under_vmap(times):
  def both(x):
    found, pullback = jax.vjp(row_major, x)
    return found, *pullback(2 * x)

  x = jnp.arange(24.0).reshape(2, 3, 4)
  for _ in range(times):
    both = jax.vmap(both)
  chex.assert_trees_all_equal(both(x), (x, 2 * x))


with_compiler = pytest.mark.skipif(
  not cuda.has_compiler(),
  reason='the compiler for GPUs is not installed: pip install "jaxssl[cuda]"',
)


def gradient_on_gpus(count):
  """Returns the program of a head's gradient, its rows spread over GPUs."""
  encoder = models.make_encoder(
    'vit_ti16', depth=1, dim=64, num_heads=1, dtype='bfloat16'
  )
  images = jax.ShapeDtypeStruct((128 * count, 32, 32, 3), jnp.float32)
  params = jax.eval_shape(encoder.init, jax.random.key(0), images)['params']
  head = jax.ShapeDtypeStruct((64, 64), jnp.float32)

  def loss(params, head, images):
    features, _ = encoder.apply({'params': params}, images, train=True)
    return jnp.square(features @ head).sum()

  mesh = modes.make_mesh(list(cuda.cards('h100', count).devices))
  rows, whole = (NamedSharding(mesh, spec) for spec in (modes.ROWS, P()))

  def placed(tree, sharding):
    return jax.tree.map(
      lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree
    )

  step = jax.jit(jax.grad(loss, (0, 1))).lower(
    *placed((params, head), whole), placed(images, rows)
  )
  return step.compile(compiler_options=cuda.OPTIONS).as_text()


@with_compiler
def test_compiles_for_a_gpu_under_vmap():
  mesh = modes.make_mesh(list(cuda.cards('h100', 1).devices))
  x = jax.ShapeDtypeStruct(
    (2, 3, 4), jnp.float32, sharding=NamedSharding(mesh, P())
  )
  jax.jit(jax.vmap(row_major)).lower(x).compile(compiler_options=cuda.OPTIONS)


@with_compiler
@pytest.mark.parametrize('count', [1, 2])
def test_the_gradient_of_a_head_leaves_tokens_as_they_lie(count):
  text = gradient_on_gpus(count)
  # [b, N, D] of one GPU, with the rows closest together.
  assert 'bf16[128,5,64]{2,1,0}' in text
  assert 'bf16[128,5,64]{0,2,1}' not in text
  # No GPU sees the tokens of another.
  assert 'all-gather' not in text
  assert f'bf16[{128 * 2},5,64]' not in text
