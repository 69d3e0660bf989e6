import numpy as np

from jaxssl.pictures.captions import lines

POOL = ['a cat', 'a dog', 'a cup', 'a car']


def test_the_own_caption_has_its_place():
  assert lines(['a cup', 'a mug'], POOL, np.array([0.1, 0.4, 0.2, 0.3])) == [
    'caption: a cup (0.20, place 3)',
    '0.40 a dog',
    '0.30 a car',
    '0.20 a cup',
  ]


def test_a_picture_without_caption():
  assert lines([], POOL, np.arange(4.0))[:2] == ['caption: none', '3.00 a car']
