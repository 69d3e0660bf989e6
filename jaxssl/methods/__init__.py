"""Pre-training methods: one file each, one table."""

from jaxssl.methods.base import Aux, Batch, Method
from jaxssl.methods.simclr import SimCLR

METHODS = {
  'simclr': SimCLR,
}

__all__ = ['METHODS', 'Aux', 'Batch', 'Method', 'SimCLR']
