"""Weights with one NaN: no command calls them the best, none takes them."""

import json
import shutil

import pytest

from jaxssl.evals.needs import DenseFeatures, DenseLook
from jaxssl.evals.protocols import PROTOCOLS
from jaxssl.weights import exported as exported_lib
from jaxssl.weights import safetensors_file, timm
from tests.commands import runs
from tests.commands.harmed_export import with_one_nan


@pytest.fixture(scope='module')
def harmed(finished_run, tmp_path_factory):
  workdir = tmp_path_factory.mktemp('harmed') / 'run'
  shutil.copytree(finished_run, workdir)
  with_one_nan(workdir / 'export')
  return workdir


# Protocols on texts need a run with texts.
IMAGES = [name for name in PROTOCOLS if name not in ('zeroshot', 'retrieval')]
# And those on patches, pictures with masks and depth.
DENSE = [n for n in IMAGES if PROTOCOLS[n].needs in (DenseFeatures, DenseLook)]
COMMANDS = [
  *(
    ('eval', name)
    for name in IMAGES
    if name not in ('shift', 'wise_ft', *DENSE)
  ),
  *(('eval', name, '--data=shapes', '--limit=6') for name in DENSE),
  ('eval', 'shift', '--shifted=a=digits'),
  ('embed', '--out=OUT.npz'),
  ('export', 'timm', '--out=OUT'),
  ('export', 'safetensors', '--out=OUT'),
]


@pytest.mark.parametrize('command', COMMANDS, ids=' '.join)
def test_every_command_refuses_weights_that_are_not_finite(
  command, harmed, tmp_path, capsys
):
  out = tmp_path / 'out'
  words = [word.replace('OUT', str(out)) for word in command]
  before = runs.files(harmed)
  assert runs.jaxssl(*words, f'--workdir={harmed}') == 2
  line = capsys.readouterr().err.strip()
  assert 'weights are not finite (encoder.params.' in line
  assert '1 of ' in line
  assert '\n' not in line
  assert not list(tmp_path.iterdir())
  assert runs.files(harmed) == before


def test_import_refuses_weights_that_are_not_finite(harmed, tmp_path, capsys):
  exported = exported_lib.load_encoder(harmed / 'export')
  path = tmp_path / 'model.safetensors'
  safetensors_file.write(path, timm.to_timm(exported.variables))
  options = json.loads((harmed / 'config.json').read_text())['encoder']
  code = runs.jaxssl(
    *('import', 'timm', path, f'--encoder={options.pop("name")}'),
    f'--workdir={tmp_path / "run"}',
    f'--image_size={exported.image_size}',
    *(f'--config.encoder.{key}={value}' for key, value in options.items()),
  )
  assert code == 2
  assert 'weights are not finite' in capsys.readouterr().err
  assert not (tmp_path / 'run').exists()
