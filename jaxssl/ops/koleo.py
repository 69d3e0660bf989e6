"""How far each row of a batch is from its nearest neighbour."""

import jax
import jax.numpy as jnp

from jaxssl.errors import UserError
from jaxssl.ops.tokens import take_tokens
from jaxssl.parallel import collectives

_EPSILON = 1e-8  # the authors'


def koleo(
  x: jax.Array, *, group: int = 0, axis_name: str | None = None
) -> jax.Array:
  """Kozachenko-Leonenko estimate of the entropy, as a loss.

  With unit vectors u = x / |x| and n(i) the row with the largest cosine to row
  i, other than i,

    -mean_i log(|u_i - u_n(i) + 1e-8| + 1e-8)

  It is least where the rows lie evenly on the sphere, and grows without much of
  a bound, to about 18, as they become the same. The gradient goes to a row and
  to its neighbour, not to the choice.

  Neighbours are looked for in the global batch, so loss and gradient do not
  depend on the number of devices; a device sends its rows. The authors of
  DINOv2 look among the rows of one GPU, 64 in their recipes; `group` does so on
  any devices.

  Args:
    x: [b, D].
    group: neighbours are looked for among so many rows that follow each other
      in the global batch; 0 for all.
    axis_name: mapped device axis, or None in the global view.

  Returns:
    A float32 scalar, the mean over the rows at hand.

  Raises:
    UserError: if groups do not divide the batch, or are of one row.

  References:
    Sablayrolles et al., Spreading vectors for similarity search, 2018,
    https://arxiv.org/abs/1806.03198, section 3; dinov2/loss/koleo_loss.py of
    facebookresearch/dinov2, whose constants these are.
  """
  rows = collectives.row_ids(len(x), axis_name)
  total = len(x) * collectives.axis_size(axis_name)
  group = group or total
  if group == 1 or total % group:
    raise UserError(
      f'KoLeo looks for neighbours among {group} rows of a batch of {total}: '
      'it must be two or more, and divide the batch'
    )
  x = _unit(x)
  everyone = collectives.gather(x, axis_name)
  others = jnp.arange(total)
  allowed = rows[:, None] // group == others[None] // group
  allowed &= rows[:, None] != others[None]
  cosines = jax.lax.stop_gradient(
    # Neighbours differ by little: bfloat16 or TF32 would mix them up.
    jnp.matmul(x, everyone.T, precision='highest')
  )
  nearest = jnp.where(allowed, cosines, -jnp.inf).argmax(axis=1)
  neighbour = take_tokens(everyone[None], nearest[None])[0]
  distance = jnp.linalg.norm(x - neighbour + _EPSILON, axis=-1)
  return -jnp.mean(jnp.log(distance + _EPSILON))


def _unit(x: jax.Array) -> jax.Array:
  # float32 at least, whatever the encoder's type.
  x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
  length = jnp.linalg.norm(x, axis=-1, keepdims=True)
  return x / jnp.maximum(length, _EPSILON)
