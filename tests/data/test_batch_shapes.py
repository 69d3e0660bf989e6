"""Shapes that are told without reading are those that are read."""

import jax
import numpy as np
import pytest

from jaxssl import data
from jaxssl.augment.crop_spec import CropSpec
from tests.data import pairs

ROWS, LENGTH = 4, 6
CROPS = (CropSpec(size=8), CropSpec(size=5))
KINDS = {
  'whole pictures': {'image_size': 16},
  'crops': {'crops': CROPS},
  'crops, whatever the size of whole pictures': {
    'crops': CROPS,
    'image_size': 16,
  },
}


def _encode(texts):
  return np.zeros((len(texts), LENGTH), np.int32)


@pytest.mark.parametrize('captions', [0, 1, 3])
@pytest.mark.parametrize('pictures', KINDS.values(), ids=KINDS)
def test_a_batch_has_the_shapes_that_were_told(pictures, captions, tmp_path):
  batches = data.train_batches(
    data.make_source(**pairs.section('folder', tmp_path)),
    batch_size=ROWS,
    seed=0,
    encode_text=_encode if captions else None,
    captions=max(captions, 1),
    **pictures,
  )
  batch = next(batches)
  batches.close()
  del batch['index']  # stays on the host
  told = data.batch_shapes(
    ROWS,
    text_length=LENGTH if captions else None,
    captions=max(captions, 1),
    **pictures,
  )
  read = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), batch)
  assert read == told
