"""What the numbers of a run say: whether it has learned."""

from jaxssl.pictures.curve import Point, series


def verdict(
  points: list[Point],
  *,
  guessing: float | None = None,
  most_frequent: float | None = None,
  warning: str | None = None,
) -> tuple[list[str], list[str]]:
  """Returns sentences that speak against a run, and for it.

  Args:
    points: what is known of each step, in order of steps.
    guessing: loss of an answer that does not look at the picture.
    most_frequent: accuracy of always naming the largest class, a fraction.
    warning: a sign of collapse.
  """
  against = [f'Collapse: {warning}.'] if warning else []
  for_it: list[str] = []
  loss, knn, rank, spread = (
    series(points, name)[1]
    for name in ('loss', 'knn/top1', 'effective_rank', 'feature_std')
  )
  if loss and guessing is not None:
    is_better = loss[-1] < guessing
    words = '' if is_better else ' is no better than guessing'
    (for_it if is_better else against).append(
      f'Loss {loss[-1]:.3f}{words}; an answer that does not look at the '
      f'picture has {guessing:.3f}.'
    )
  if len(knn) > 1:
    is_better = knn[-1] > knn[0]
    words = '' if is_better else ' is no better than before training'
    chance = most_frequent and f', the most frequent class {most_frequent:.1%}'
    (for_it if is_better else against).append(
      f'Online kNN {knn[-1]:.1%}{words}; at the start {knn[0]:.1%}'
      f'{chance or ""}.'
    )
  if rank and spread:
    for_it.append(
      f'Effective rank {rank[-1]:.1f}, spread {spread[-1]:.2f} (1: even; 0: '
      'all pictures are the same to it).'
    )
  return against, for_it
