"""Encoders as StableHLO, read with JAX and safetensors alone."""

import functools
import json
import re

import jax
from jax import export
import numpy as np
import pytest

from jaxssl.api import load
from jaxssl.errors import UserError
from jaxssl.train.workdir import Workdir
from jaxssl.weights import program, safetensors_file, stablehlo
from jaxssl.weights.exported import save_encoder
from tests.commands import runs
from tests.weights import program_cases


@pytest.mark.parametrize(
  'section', program_cases.CASES.values(), ids=program_cases.CASES
)
def test_every_kind_of_encoder_takes_any_batch(section, tmp_path):
  # `save` compares one row and three with the encoder.
  error = stablehlo.save(tmp_path, program_cases.exported(section))
  # The same program; float32 is 8e-7 from float64 here, and a program that is
  # fused in another way rounds otherwise.
  assert error < 2e-6
  written = export.deserialize(
    bytearray((tmp_path / stablehlo.FILE).read_bytes())
  )
  assert written.platforms == ('cpu', 'cuda', 'tpu')
  # No call into a library whose meaning may change.
  calls = re.findall(r'custom_call @(\w+)', str(written.mlir_module()))
  assert set(calls) == {'shape_assertion'}


def test_folder_gives_the_features_of_the_run(tmp_path, capsys):
  run, out = tmp_path / 'run', tmp_path / 'out'
  section = program_cases.CASES['rope and registers']
  save_encoder(Workdir(run).export, program_cases.exported(section))
  command = ('export', 'stablehlo', f'--workdir={run}', f'--out={out}')
  assert runs.jaxssl(*command) == 0
  assert str(out / stablehlo.FILE) in capsys.readouterr().out
  written = export.deserialize(bytearray((out / stablehlo.FILE).read_bytes()))
  weights = safetensors_file.read(out / 'encoder.safetensors')
  pixels = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
  found = written.call(weights, pixels)
  pretrained = load(run)
  images = pretrained.normalize(pixels)
  features, _ = pretrained.encoder.apply(pretrained.variables, images)
  np.testing.assert_allclose(found['features'], features, atol=1e-5)
  assert found['patches'].shape == (2, 4, 16)
  rule = json.loads((out / 'preprocessing.json').read_text())
  assert rule['resize_size'] == pretrained.preprocessing.resize_size


def test_a_program_with_other_features_is_refused():
  exported = program_cases.exported(program_cases.CASES['resnet'])
  run = jax.jit(functools.partial(program.of(exported), exported.variables))

  def wrong(pixels):
    return {name: 1.001 * value for name, value in run(pixels).items()}

  with pytest.raises(UserError, match=r'by 0\.001 of the largest'):
    program.require_equal(exported, wrong)
  with pytest.raises(UserError, match='by inf'):
    program.require_equal(
      exported, lambda pixels: {'features': run(pixels)['features'] * np.nan}
    )
