"""Encoders as ONNX, run by ONNX Runtime."""

import sys

import jax
from jax import lax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.train.workdir import Workdir
from jaxssl.weights import onnx_file
from jaxssl.weights.exported import save_encoder
from jaxssl.weights.one_branch import with_one_branch
from tests.commands import runs
from tests.weights import program_cases


@pytest.mark.slow
@pytest.mark.reference
@pytest.mark.parametrize(
  'section', program_cases.CASES.values(), ids=program_cases.CASES
)
def test_runtime_gives_the_features_of_every_kind(section, tmp_path):
  pytest.importorskip('jax2onnx')
  # `save` compares one row and three with the encoder.
  error = onnx_file.save(tmp_path, program_cases.exported(section))
  assert error < 2e-5  # float32 sums in another order
  assert (tmp_path / 'preprocessing.json').exists()


def test_without_the_converter_one_line_says_what_to_install(
  tmp_path, monkeypatch, capsys
):
  run, out = tmp_path / 'run', tmp_path / 'out'
  exported = program_cases.exported(program_cases.CASES['resnet'])
  save_encoder(Workdir(run).export, exported)
  monkeypatch.setitem(sys.modules, 'onnxruntime', sys)
  monkeypatch.setitem(sys.modules, 'jax2onnx', None)
  command = ('export', 'onnx', f'--workdir={run}', f'--out={out}')
  assert runs.jaxssl(*command) == 2
  assert 'pip install --no-deps jax2onnx' in capsys.readouterr().err
  assert not out.exists()


def _pooled(x):
  return lax.reduce_window_max_p.bind(
    x,
    window_dimensions=(2,),
    window_strides=(1,),
    padding=((0, 0),),
    base_dilation=(1,),
    window_dilation=(1,),
  )


def _choices(x):
  """Two choices, one of them inside of calls."""

  @jax.custom_vjp
  def twice(x):
    return lax.platform_dependent(
      x, cpu=lambda x: x * 0, default=lambda x: 2 * x
    )

  twice.defvjp(lambda x: (twice(x), None), lambda _, g: (2 * g,))
  shifted = lax.platform_dependent(
    x, cpu=lambda x: jnp.maximum(x[1:], x[:-1]), default=_pooled
  )
  return {'twice': jax.jit(twice)(x), 'max': shifted}


def test_one_branch_is_left_of_each_choice():
  x = jnp.array([3.0, 1.0, 2.0])
  run = with_one_branch(_choices, without='reduce_window_max')
  found = run(x)
  np.testing.assert_array_equal(found['twice'], 2 * x)
  np.testing.assert_array_equal(found['max'], [3.0, 2.0])
  text = str(jax.make_jaxpr(run)(x))
  assert 'platform_index' not in text
  assert 'reduce_window_max' not in text
