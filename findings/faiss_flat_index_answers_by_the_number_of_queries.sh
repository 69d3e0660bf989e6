#!/usr/bin/env bash
# faiss-cpu 1.15.1 with numpy 2.4.6 (Python 3.11, x86-64), seen on 2026-12-01.
#
# Nearest neighbours by `IndexFlatL2`, the index that compares with every row:
# features of 384 numbers that are near each other and not near zero, as those of
# pictures that are nearly alike.
#
# One would guess: the neighbours of a query are the same whatever else is asked
# at the same time, and are the true ones, as the search leaves out nothing.
# Seen: asked with 100 queries, they are those of float64. Asked with 1000, the
# distances are of |x|^2 + |y|^2 - 2 x y in float32, and about half of the same
# queries' neighbours are others. With a larger common part all distances become
# zero. The number at which this begins is `faiss.cvar.
# distance_compute_blas_threshold`, of queries times numbers. Subtracting the mean
# of the rows from rows and queries before mends it.
#
# Exits with 0 as long as this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m pip install --quiet --disable-pip-version-check \
  --target "$folder/site" faiss-cpu==1.15.1 numpy==2.4.6 packaging
PYTHONPATH=$folder/site "${PYTHON:-python3}" - <<'PY'
import faiss
import numpy as np

ROWS, QUERIES, WIDTH, NEAREST, LOOKED_AT = 5000, 1000, 384, 5, 50
random = np.random.default_rng(0)
common = 1 + random.standard_normal(WIDTH)
rows, queries = (
  (common + 0.01 * random.standard_normal((n, WIDTH))).astype(np.float32)
  for n in (ROWS, QUERIES)
)


def share_of_true(rows, queries, count):
  """Returns which part of the neighbours of the first queries is true."""
  index = faiss.IndexFlatL2(WIDTH)
  index.add(rows)
  found = index.search(queries[:count], NEAREST)[1][:LOOKED_AT]
  return float((found == truth).mean())


exact = rows.astype(np.float64)
truth = np.stack(
  [
    np.argsort(((exact - query) ** 2).sum(1), kind='stable')[:NEAREST]
    for query in queries[:LOOKED_AT].astype(np.float64)
  ]
)
few, many = (share_of_true(rows, queries, n) for n in (100, QUERIES))
mean = rows.mean(0)
centred = share_of_true(rows - mean, queries - mean, QUERIES)
print(f'true with 100 queries {few}, with {QUERIES} {many}, centred {centred}')
assert few == 1.0
assert many < 0.7
assert centred > 0.95
PY
