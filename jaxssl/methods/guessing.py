"""The loss of an answer that does not look at the picture, by kind of loss."""

import math


def among(count: int) -> float:
  """Returns the cross entropy of one right answer among equals, ln N.

  All embeddings or logits being the same, which is what a collapsed encoder
  gives, and what random ones are close to.

  Args:
    count: number of answers N, at least 1.
  """
  return math.log(count)


def sigmoid(rows: int) -> float:
  """Returns the least sigmoid loss of one logit for all pairs, in nats.

  Each of B images is compared with B texts, one of which is right, so the best
  constant answer has probability p = 1/B: B H(p), H the binary entropy.

  Args:
    rows: B, images of a batch, at least 2.
  """
  p = 1 / rows
  return -rows * (p * math.log(p) + (1 - p) * math.log(1 - p))


def patch_mean(values: int) -> float:
  """Returns the squared error of a gray patch, 1 - 1/n.

  The targets of a patch have mean 0 and unbiased variance 1, so the best
  constant answer is 0.

  Args:
    values: n, numbers of a patch.
  """
  return 1 - 1 / values
