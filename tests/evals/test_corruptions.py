import jax
import numpy as np
import pytest

from jaxssl import errors
from jaxssl.evals import corruptions

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 16, 16, 3), np.uint8)


def make(**changes):
  return corruptions.Corruptions(
    **{
      'kinds': ('contrast', 'gaussian_noise'),
      'severities': (1, 5),
      **changes,
    }
  )


def batches(size=3):
  for first in range(0, 6, size):
    rows = slice(first, first + size)
    yield {'image': IMAGES[rows], 'index': np.arange(6)[rows]}


def same(batch_iterator):
  """Share of the pixels that are as they were: a stand-in for accuracy."""
  found = np.concatenate([np.asarray(b['image']) for b in batch_iterator])
  share = float((found == IMAGES).mean())
  return {'top1': share, 'mean_per_class': share / 2, 'num_test': len(found)}


def test_means_are_over_severities_and_kinds():
  metrics = make().run(same, batches)
  assert metrics['clean'] == 1.0
  assert metrics['num_test'] == 6
  for kind in ('contrast', 'gaussian_noise'):
    levels = [metrics[f'{kind}_{severity}'] for severity in (1, 5)]
    assert levels[0] > levels[1]
    assert metrics[kind] == pytest.approx(np.mean(levels))
  both = [metrics['contrast'], metrics['gaussian_noise']]
  assert metrics['top1'] == pytest.approx(np.mean(both))
  assert metrics['mean_per_class'] == pytest.approx(np.mean(both) / 2)
  assert metrics['clean_mean_per_class'] == metrics['clean'] / 2


def test_noise_of_an_image_does_not_depend_on_the_batch():
  def all_of(size):
    found = corruptions.corrupted(
      batches(size), kind='gaussian_noise', severity=3, seed=1
    )
    return np.concatenate([np.asarray(batch['image']) for batch in found])

  np.testing.assert_array_equal(all_of(3), all_of(2))


def test_seed_changes_the_noise():
  first, second = (
    jax.device_get(
      next(
        corruptions.corrupted(
          batches(), kind='gaussian_noise', severity=3, seed=seed
        )
      )['image']
    )
    for seed in (0, 1)
  )
  assert (first != second).any()


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'kinds': ()}, 'kinds must be'),
    ({'kinds': ('fog', 'fog')}, 'kinds must be'),
    ({'severities': (6,)}, '1 to 5'),
    ({'kinds': ('frost',)}, 'frost'),
  ],
)
def test_wrong_settings(changes, message):
  with pytest.raises(errors.UserError, match=message):
    make(**changes)
