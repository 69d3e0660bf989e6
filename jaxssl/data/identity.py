"""What tells the data of one day from those of another.

Reading terabytes at every start is out of the question, so a source that reads
its pictures from files has two hashes:

* `identity`: names, sizes, labels, captions, and the content of a sample of the
  records (of all, where there are few). Copies of the data share it, on other
  machines and in stores. A run goes on if it is the same.
* `fingerprint`: the identity and the times at which the files were written.
  What was computed of the pictures is kept as long as it is the same.
"""

from collections.abc import Callable
import hashlib

import numpy as np

from jaxssl.data import order

_SAMPLE = 256
_AT_ONCE = 16
_MOST_BYTES = 1 << 26


def of_sample(
  num_examples: int, read: Callable[[np.ndarray], list[bytes]]
) -> str:
  """Hashes the content of some records.

  Args:
    num_examples: number of records of the source; at most 256 of them are read,
      spread by a hash, and no more after 64 MiB.
    read: int64 [b] record numbers to their bytes.

  Returns:
    64 hexadecimal digits.
  """
  count = min(num_examples, _SAMPLE)
  chosen = order.shuffle(np.arange(count), num_examples=num_examples, key=0)
  digest, total = hashlib.sha256(), 0
  for start in range(0, count, _AT_ONCE):
    if total >= _MOST_BYTES:
      break
    for content in read(chosen[start : start + _AT_ONCE]):
      digest.update(hashlib.sha256(content).digest())
      total += len(content)
  return digest.hexdigest()
