"""Evaluations that tests of robustness take for their classifier."""

from jaxssl.evals.knn import Knn
from jaxssl.evals.zeroshot import ZeroShot

NEIGHBOURS = Knn(ks=(20,))
TEXTS = ZeroShot()
