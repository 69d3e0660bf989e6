import subprocess
import sys

import pytest

from jaxssl import errors
from jaxssl.augment.crop_spec import CropSpec


@pytest.mark.parametrize(
  ('wrong', 'message'),
  [
    ({'size': 0}, 'CropSpec size is 0; it must be positive'),
    ({'size': 8, 'scale': (0.5, 0.2)}, 'crop scale'),
    ({'size': 8, 'scale': (0.5, 1.2)}, 'crop scale'),
    ({'size': 8, 'ratio': (0.0, 1.0)}, 'crop ratio'),
    ({'size': 8, 'rule': 'torch'}, "did you mean 'torchvision'"),
    ({'size': 8, 'interpolation': 'cubic'}, "did you mean 'bicubic'"),
  ],
)
def test_refuses_what_is_out_of_range(wrong, message):
  with pytest.raises(errors.UserError, match=message):
    CropSpec(**wrong)


def test_imports_neither_jax_nor_tensorflow():
  code = (
    'import sys, jaxssl.augment.crop_spec; '
    'sys.exit(any(m in sys.modules for m in ("jax", "tensorflow")))'
  )
  assert subprocess.run([sys.executable, '-c', code]).returncode == 0
