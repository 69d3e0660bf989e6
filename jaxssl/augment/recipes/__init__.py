"""The augmentations of published methods, as functions that return `Augment`.

Every recipe takes `size`, the side of the views in pixels, and what a user of
the method would change. `RECIPES` is the table of their names.
"""

from collections.abc import Callable

from jaxssl.augment.recipes.captioned import clip, siglip, siglip2
from jaxssl.augment.recipes.multi_crop import dino, dinov3, lejepa, msn, swav
from jaxssl.augment.recipes.plain import crop_flip, none
from jaxssl.augment.recipes.pretext import colorization, patches
from jaxssl.augment.recipes.reconstructed import (
  beit,
  distillation,
  dvae,
  ijepa,
  mae,
)
from jaxssl.augment.recipes.two_views import (
  byol,
  moco_v1,
  moco_v2,
  simclr,
  simclr_cifar,
)
from jaxssl.augment.view import Augment

RECIPES: dict[str, Callable[..., Augment]] = {
  'simclr': simclr,
  'simclr_cifar': simclr_cifar,
  'byol': byol,
  'moco_v1': moco_v1,
  'moco_v2': moco_v2,
  'dino': dino,
  'dinov3': dinov3,
  'swav': swav,
  'msn': msn,
  'lejepa': lejepa,
  'mae': mae,
  'ijepa': ijepa,
  'beit': beit,
  'distillation': distillation,
  'dvae': dvae,
  'patches': patches,
  'colorization': colorization,
  'crop_flip': crop_flip,
  'clip': clip,
  'siglip': siglip,
  'siglip2': siglip2,
  'none': none,
}
