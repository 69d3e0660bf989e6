#!/usr/bin/env bash
# scikit-image 0.26.0 (Python 3.11), seen on 2026-11-29.
#
# `skimage.data.stereo_motorcycle()`, a stereo pair with measured disparities.
#
# One would guess, from its page: NaN denotes pixels without ground truth.
# Seen: no value is NaN; those pixels are infinite. `np.isnan` finds none of
# them, and the depth f b / (d + c) of each is 0, which is nearer than anything.
# `np.isfinite` tells them apart.
#
# Exits with 0 as long as this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m pip install --quiet --disable-pip-version-check \
  --target "$folder/site" scikit-image==0.26.0 numpy==2.4.6
PYTHONPATH=$folder/site "${PYTHON:-python3}" - <<'PY'
import numpy as np
from skimage import data

_, _, disparity = data.stereo_motorcycle()
print('NaN:', np.isnan(disparity).sum(), 'infinite:', np.isinf(disparity).sum())
assert 'NaNs denote pixels' in data.stereo_motorcycle.__doc__
assert not np.isnan(disparity).any()
assert np.isinf(disparity).mean() > 0.01
assert (1 / (disparity[np.isinf(disparity)] + 31.086) == 0).all()
PY
