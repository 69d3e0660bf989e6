import itertools

import jax
import numpy as np
import pytest

from jaxssl.errors import UserError
from jaxssl.evals import dense_head
from jaxssl.evals.linear_segmentation import cross_entropy

TRAINING = dense_head.Training(
  num_steps=12, learning_rate=0.02, weight_decay=0.01, warmup_steps=3
)


def _batches(count=13):
  random = np.random.default_rng(0)
  means = random.normal(size=(3, 6))
  for _ in range(count):
    classes = random.integers(-1, 3, (4, 3, 3))
    features = means[classes] + 0.3 * random.normal(size=(4, 3, 3, 6))
    pixels = classes.repeat(4, axis=1).repeat(4, axis=2)
    yield features.astype(np.float32), pixels.astype(np.int32)


def _fit(**changes):
  return dense_head.fit(
    _batches(),
    num_outputs=3,
    loss=cross_entropy,
    training=TRAINING._replace(**changes),
  )


@pytest.mark.reference
def test_training_is_that_of_torch():
  torch = pytest.importorskip('torch')
  head = dense_head.DenseHead(3)
  features, _ = next(_batches())
  start = head.init(jax.random.key(0), features[:1], train=False)['params']
  norm = torch.nn.BatchNorm2d(6)
  conv = torch.nn.Conv2d(6, 3, 1)
  kernel = np.array(start['conv']['kernel']).T[:, :, None, None]
  with torch.no_grad():
    conv.weight.copy_(torch.tensor(kernel))
    conv.bias.zero_()
  optimizer = torch.optim.AdamW(
    [*norm.parameters(), *conv.parameters()], weight_decay=0.01
  )
  for step, (x, classes) in enumerate(itertools.islice(_batches(), 12)):
    rate = 0.02 * (1 - step / 12) * min(1, step / 3)
    optimizer.param_groups[0]['lr'] = rate
    logits = conv(norm(torch.tensor(x).permute(0, 3, 1, 2)))
    logits = torch.nn.functional.interpolate(
      logits, size=12, mode='bilinear', align_corners=False
    )
    loss = torch.nn.functional.cross_entropy(
      logits, torch.tensor(classes).long(), ignore_index=-1
    )
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
  found = _fit()
  expected = {
    'kernel': conv.weight[:, :, 0, 0].T,
    'bias': conv.bias,
    'scale': norm.weight,
    'shift': norm.bias,
    'mean': norm.running_mean,
    'var': norm.running_var,
  }
  params = found['params']
  stats = found['batch_stats']['bn']
  for name, value in {
    **params['conv'],
    'scale': params['bn']['scale'],
    'shift': params['bn']['bias'],
    **stats,
  }.items():
    # Adam's steps do not shrink with small gradients.
    np.testing.assert_allclose(
      value, expected[name].detach().numpy(), atol=2e-5, err_msg=name
    )


def test_a_training_that_diverges_is_told():
  with pytest.raises(UserError, match='diverged; give a smaller'):
    _fit(learning_rate=1e38)
