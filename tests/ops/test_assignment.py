import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.ops.assignment import sinkhorn

ROWS, MORE, PROTOTYPES = 16, 24, 6


def _scores(rows=ROWS + MORE):
  # Half of all cosines are near those of the first prototype.
  draws = np.random.default_rng(0).uniform(-0.3, 0.3, (rows, PROTOTYPES))
  draws[::2, 0] += 0.3
  return draws.astype(np.float32)


def _authors(scores, iterations, epsilon):
  """The steps of the paper's appendix, in float64."""
  q = np.exp(scores.astype(np.float64) / epsilon).T
  q /= q.sum()
  for _ in range(iterations):
    q /= q.sum(axis=1, keepdims=True) * len(q)
    q /= q.sum(axis=0, keepdims=True) * q.shape[1]
  return (q * q.shape[1]).T


@pytest.mark.parametrize('epsilon', [0.05, 0.03, 0.5])
@pytest.mark.parametrize('iterations', [1, 3])
def test_rows_and_prototypes_as_the_authors(epsilon, iterations):
  scores = _scores()
  found = sinkhorn(jnp.asarray(scores), epsilon=epsilon, iterations=iterations)
  expected = _authors(scores, iterations, epsilon)
  # exp of float32 numbers up to 1.3 / 0.03.
  np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_every_prototype_gets_its_share():
  found = sinkhorn(jnp.asarray(_scores()), epsilon=0.05, iterations=50)
  np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
  share = (ROWS + MORE) / PROTOTYPES
  np.testing.assert_allclose(found.sum(axis=0), share, rtol=1e-3)


def test_other_rows_take_part_if_they_count():
  scores = jnp.asarray(_scores())
  rows, others = scores[:ROWS], scores[ROWS:]
  together = sinkhorn(scores, epsilon=0.05)[:ROWS]
  alone = sinkhorn(rows, epsilon=0.05)
  assert np.abs(together - alone).max() > 1e-2
  for weight, expected in ((1.0, together), (0.0, alone)):
    found = sinkhorn(rows, epsilon=0.05, others=others, weight=weight)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


def test_rows_that_fill_up_take_no_part():
  """Nor their scores, however large; the factor 1 / epsilon can be traced."""
  scores = jnp.asarray(_scores())
  counts = jnp.arange(ROWS + MORE) < ROWS
  padded = jnp.where(counts[:, None], scores, 0.5)
  found = jax.jit(sinkhorn)(
    padded, epsilon=jnp.asarray(0.05), rows=counts.astype(jnp.float32)
  )
  alone = sinkhorn(scores[:ROWS], epsilon=0.05)
  np.testing.assert_allclose(found[:ROWS], alone, rtol=1e-5, atol=1e-7)
  np.testing.assert_array_equal(found[ROWS:], 0)


def test_scores_above_one_are_no_overflow():
  scores = _scores() + 7
  found = sinkhorn(jnp.asarray(scores), epsilon=0.05)
  expected = _authors(scores - 7, 3, 0.05)
  # exp of float32 numbers near 8 / 0.05.
  np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)


def test_a_prototype_far_from_all_stays_finite():
  scores = jnp.full((4, 3), 1.0).at[:, 2].set(-1.0)
  found = sinkhorn(scores, epsilon=0.01)
  assert jnp.isfinite(found).all()


@pytest.mark.parametrize('with_others', [False, True])
def test_eight_devices_assign_as_one(with_others):
  """To the rounding of float64: nothing is lost between devices."""
  with jax.enable_x64(True):
    scores = jnp.asarray(_scores(), jnp.float64)
    rows = scores[:ROWS]
    others = scores[ROWS:] if with_others else None
    # Devices hold different numbers of rows that take part.
    counts = jnp.asarray(np.arange(ROWS) % 3 != 1, jnp.float64)
    shared = {'epsilon': 0.05, 'others': others}
    expected = sinkhorn(rows, rows=counts, **shared)

    @functools.partial(jax.pmap, axis_name='devices')
    def on_each(part, counts):
      return sinkhorn(part, rows=counts, axis_name='devices', **shared)

    found = on_each(
      rows.reshape(8, ROWS // 8, PROTOTYPES), counts.reshape(8, ROWS // 8)
    )
  assert found.dtype == np.float64
  np.testing.assert_allclose(
    found.reshape(ROWS, PROTOTYPES), expected, rtol=1e-9, atol=1e-12
  )


@pytest.mark.reference
def test_assignments_equal_lightlys():
  import torch

  from benchmarks.peers import torch_simclr

  torch_simclr.libraries()
  from lightly.loss.swav_loss import sinkhorn as theirs

  scores = _scores()
  expected = theirs(torch.tensor(scores)).numpy()
  found = sinkhorn(jnp.asarray(scores), epsilon=0.05)
  np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
