from jaxssl.augment.crop_spec import CropSpec
from jaxssl.data import crop
from jaxssl.planning import resizing


def test_every_crop_is_resized_from_a_box_of_its_mean_area(monkeypatch):
  seen = []

  def resize(image, size, *, interpolation):
    seen.append((image.shape, size, interpolation))

  monkeypatch.setattr(crop, 'resize', resize)
  crops = (
    CropSpec(size=224, scale=(0.25, 1.0)),
    CropSpec(size=96, scale=(0.05, 0.25), interpolation='bicubic'),
  )
  assert resizing.seconds_a_picture(crops, (400.0, 500.0)) >= 0
  # sqrt(0.625 * 400 * 500) and sqrt(0.15 * 400 * 500)
  assert seen[:2] == [
    ((354, 354, 3), 224, 'bilinear'),
    ((173, 173, 3), 96, 'bicubic'),
  ]


def test_no_box_is_larger_than_the_picture(monkeypatch):
  sides = []
  monkeypatch.setattr(
    crop, 'resize', lambda image, *_, **__: sides.append(image.shape[0])
  )
  whole = CropSpec(size=32, scale=(1.0, 1.0))
  resizing.seconds_a_picture([whole], (20.0, 500.0))
  assert set(sides) == {20}


def test_resizing_takes_time():
  crops = [CropSpec(size=224), CropSpec(size=224)]
  assert resizing.seconds_a_picture(crops, (375.0, 500.0)) > 0
