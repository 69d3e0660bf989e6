"""Pre-training methods: one file each, one table."""

from jaxssl.methods.base import Aux, Batch, Method
from jaxssl.methods.simclr import SimCLR
from jaxssl.methods.supervised import Supervised

METHODS = {
  'simclr': SimCLR,
  'supervised': Supervised,
}

__all__ = ['METHODS', 'Aux', 'Batch', 'Method', 'SimCLR', 'Supervised']
