"""Which weights of a workdir are meant."""

import pytest

from jaxssl.errors import UserError
from jaxssl.runs import encoders
from jaxssl.train.workdir import Workdir
from jaxssl.weights.exported import save_encoder
from tests.evals.exported_vit import exported_vit


@pytest.fixture
def workdir(tmp_path):
  """A workdir with an export of step 7 and no checkpoints."""
  workdir = Workdir(tmp_path / 'run')
  save_encoder(workdir.export, exported_vit())
  return workdir


@pytest.mark.parametrize('step', [None, 7])
def test_an_export_is_its_own_step(workdir, step):
  assert encoders.load(workdir, step=step).step == 7


def test_a_step_that_an_export_is_not_of_is_told(workdir):
  with pytest.raises(UserError, match='its export/ is of step 7'):
    encoders.load(workdir, step=5)


def test_a_folder_without_weights_is_told(tmp_path):
  with pytest.raises(UserError, match='neither export/ nor checkpoints/'):
    encoders.load(Workdir(tmp_path), step=5)
