"""Pre-training methods: one file each, one table."""

import functools

from jaxssl.methods.base import Aux, Batch, Method
from jaxssl.methods.beit import BEiT
from jaxssl.methods.clip import CLIP
from jaxssl.methods.colorization import Colorization
from jaxssl.methods.dino import DINO
from jaxssl.methods.dvae import DVAE
from jaxssl.methods.jigsaw import Jigsaw
from jaxssl.methods.mae import MAE
from jaxssl.methods.moco import MoCo
from jaxssl.methods.moco_v3 import MoCoV3
from jaxssl.methods.relative_patch import RelativePatch
from jaxssl.methods.rotation import Rotation
from jaxssl.methods.siglip import SigLIP
from jaxssl.methods.simclr import SimCLR
from jaxssl.methods.supervised import Supervised

METHODS = {
  'beit': BEiT,
  'clip': CLIP,
  'colorization': Colorization,
  'dino': DINO,
  'dvae': DVAE,
  'jigsaw': Jigsaw,
  'mae': MAE,
  'moco_v1': functools.partial(MoCo, temperature=0.07),
  'moco_v2': MoCo,
  'moco_v3': MoCoV3,
  'relative_patch': RelativePatch,
  'rotation': Rotation,
  'siglip': SigLIP,
  'simclr': SimCLR,
  'supervised': Supervised,
}

__all__ = [
  'CLIP',
  'DINO',
  'DVAE',
  'MAE',
  'METHODS',
  'Aux',
  'BEiT',
  'Batch',
  'Colorization',
  'Jigsaw',
  'Method',
  'MoCo',
  'MoCoV3',
  'RelativePatch',
  'Rotation',
  'SigLIP',
  'SimCLR',
  'Supervised',
]
