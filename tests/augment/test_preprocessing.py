import dataclasses

import pytest

from jaxssl.augment.preprocessing import Preprocessing, usual
from jaxssl.errors import UserError

RULE = Preprocessing(image_size=224, resize_size=256)


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'image_size': 0}, 'image_size is 0'),
    ({'image_size': 224.0}, 'image_size is 224.0'),
    ({'resize_size': True}, 'resize_size is True'),
    ({'resize_size': 223}, 'a square of 224 pixels cannot be cut out'),
    ({'resize': 'longest'}, "unknown Preprocessing resize 'longest'"),
    ({'interpolation': 'cubic'}, "did you mean 'bicubic'"),
    ({'offset': 'ceil'}, "unknown Preprocessing offset 'ceil'"),
    ({'mean': (0.5, 0.5)}, r'mean is \(0.5, 0.5\)'),
    ({'mean': (0.5, 0.5, float('nan'))}, 'a number per channel'),
    ({'std': (1.0, 1.0, 0.0)}, 'it must be positive'),
    ({'std': '1'}, "std is '1'"),
  ],
)
def test_a_rule_that_cannot_be_is_a_user_error(changes, message):
  with pytest.raises(UserError, match=message):
    dataclasses.replace(RULE, **changes)


@pytest.mark.parametrize(
  ('size', 'resized'), [(32, 32), (64, 64), (96, 110), (224, 256), (384, 439)]
)
def test_the_usual_rule_keeps_seven_eighths_of_large_pictures(size, resized):
  assert usual(size).resize_size == resized


@pytest.mark.parametrize('fraction', [0.0, -1.0, 1.1, float('nan')])
def test_a_share_that_cannot_be_kept_is_a_user_error(fraction):
  with pytest.raises(UserError, match='crop_fraction is'):
    usual(224, crop_fraction=fraction)
  with pytest.raises(UserError, match='crop_fraction is'):
    RULE.cut_to(fraction)


def test_the_same_rule_for_another_size():
  assert RULE.of_size(448) == dataclasses.replace(
    RULE, image_size=448, resize_size=512
  )
  assert RULE.of_size(224) == RULE
  assert RULE.cut_to(1.0).resize_size == 224


def test_half_a_pixel_goes_where_the_library_puts_it():
  floor = dataclasses.replace(RULE, offset='floor')
  margins = range(8)
  assert [RULE.corner(224 + m) for m in margins] == [0, 0, 1, 2, 2, 2, 3, 4]
  assert [floor.corner(224 + m) for m in margins] == [0, 0, 1, 1, 2, 2, 3, 3]
