import numpy as np

from jaxssl import data
from jaxssl.evals import images, tuned_views


def test_large_pictures_are_cropped_by_the_host():
  source = data.Arrays(np.zeros((8, 100, 80, 3), np.uint8), np.zeros(8))
  for size, held in ((96, 'crops'), (64, 'image')):
    plain, _ = tuned_views.make_augment(
      size=size,
      mean=(0.0,) * 3,
      std=(1.0,) * 3,
      erase_prob=0.1,
      mixup=0.8,
      cutmix=1.0,
    )
    batches = images.train_batches(source, plain, batch_size=16, seed=0)
    batch = next(batches)
    batches.close()
    assert held in batch
