"""What runs on a GPU, at its tiny shapes."""

import argparse
import json
import os
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest

from benchmarks.quality import cifar10
from benchmarks.report import rows, table
from benchmarks.speed import attention, families, family_jaxssl, gpu_step, peaks
from jaxssl.train.state import num_parameters

ROOT = pathlib.Path(__file__).parents[3]
# MAE draws its masks, CLIP's weights have no loader in this direction; SimCLR
# is in test_torch_simclr.py, MoCo v2 in tests/methods/test_trajectory.py.
WITH_LOADER = ('moco_v3', 'dino', 'rotation')


def test_both_tables_have_the_same_families():
  assert families.GPU.keys() == families.CPU.keys()
  for name in families.GPU:
    assert families.GPU[name].method == families.CPU[name].method == name


@pytest.mark.parametrize(
  ('name', 'giga'),
  [
    # Four turns; forward and twice as much backward of torchvision's 4.09 GMAC.
    ('rotation', 4 * 3 * 8.18),
    # Three times 8.8 for 50 tokens of ViT-B and 10.7 for 197 tokens in the
    # decoder, 8 blocks of width 512.
    ('mae', 58.5),
  ],
)
def test_operations_of_a_step(name, giga):
  family = families.GPU[name].with_batch(2)
  flops = family_jaxssl.step_flops(family) / 2
  assert flops / 1e9 == pytest.approx(giga, rel=0.04)


def test_utilisation():
  # 100 TFLOP in half a second are 200 of 989 TFLOP/s.
  share = peaks.utilisation(100e12, 0.5, peaks.peak_flops('NVIDIA H200'))
  assert share == pytest.approx(200 / 989)
  assert peaks.utilisation(1e12, 1.0, None) is None


@pytest.mark.parametrize(
  ('device', 'tera'),
  [
    ('NVIDIA H100 80GB HBM3', 989),
    ('NVIDIA H100 PCIe', 756),
    ('NVIDIA A100-SXM4-80GB', 312),
    ('NVIDIA A100-PCIE-40GB', 312),
    ('NVIDIA L4', 121),
    ('NVIDIA GeForce RTX 4090', 165),
    # Slower or faster than what they resemble.
    ('NVIDIA L40S', None),
    ('NVIDIA GeForce RTX 4090 D', None),
    ('NVIDIA H100 NVL', None),
    ('cpu', None),
  ],
)
def test_cards_by_name(device, tera):
  found = peaks.peak_flops(device)
  assert found == (tera and tera * 1e12)


def test_our_step_runs():
  result = family_jaxssl.run(
    families.CPU['clip'], steps=2, warm_up=1, dtype='bfloat16'
  )
  assert len(result['seconds']) == 2
  assert np.isfinite(result['loss'])


@pytest.mark.reference
@pytest.mark.parametrize('name', families.CPU)
def test_their_step_runs_on_as_many_parameters(name):
  from benchmarks.speed import family_torch

  family = families.CPU[name]
  peer, inputs = (
    family_torch.make_peer(family),
    family_torch.make_inputs(family),
  )
  inputs = family_torch.place(family, peer, inputs, 'cpu')
  step = family_torch.make_step(family, peer, inputs, backend=None)
  losses = [step().item() for _ in range(2)]
  assert np.isfinite(losses).all()
  batch = family_jaxssl.make_batch(family)
  method = family_jaxssl.make_method(family, 'bfloat16')
  params, _ = jax.eval_shape(method.init, jax.random.key(0), batch)
  theirs = sum(p.numel() for p in peer.parameters())
  assert theirs == num_parameters(params)


@pytest.mark.reference
@pytest.mark.parametrize('name', WITH_LOADER)
def test_both_sides_have_the_same_loss(name):
  import torch

  from benchmarks.speed import family_torch

  family = families.CPU[name]
  method = family_jaxssl.make_method(family, 'float32')
  batch = family_jaxssl.make_batch(family)
  params, state = jax.jit(method.init)(jax.random.key(0), batch)
  loss, _ = jax.jit(method.loss)(
    params, state, batch, key=jax.random.key(1), step=0
  )
  peer = family_torch.make_peer(family)
  _load(name, peer, params, state)
  inputs = family_torch.place(
    family, peer, family_torch.make_inputs(family), 'cpu'
  )
  with torch.no_grad():
    theirs = peer.loss(inputs).item()
  # Rounding, which BatchNorms over few rows and temperatures amplify.
  np.testing.assert_allclose(loss, theirs, rtol=5e-4)


def _load(name, peer, params, state):
  from benchmarks.peers import torch_simclr, torch_weights
  from jaxssl.methods import variables

  if name == 'rotation':
    tower = variables.tower('encoder', params, state)
    torch_weights.load_encoder(peer.net[0], tower)
    classifier = params['head']['fc']
    _copy(peer.net[1].weight, classifier['kernel'].T)
    _copy(peer.net[1].bias, classifier['bias'])
    return
  stats = state['stats']
  if name == 'moco_v3':
    torch_weights.load_head(peer.predictor, params['predictor'])
    params, stats = params['net'], stats['net']
  for net in (peer.net, peer.slow):
    torch_simclr.load(net, params, stats)


def _copy(tensor, array):
  import torch

  with torch.no_grad():
    tensor.copy_(torch.from_numpy(np.array(array)))


def _runs(seconds, **values):
  result = {'seconds': [seconds], 'compile_seconds': 1.0, 'parameters': 10}
  return gpu_step.Runs([{**result, 'peak_bytes': 2 * gpu_step.GIB, **values}])


def test_rows_of_a_family():
  family = families.GPU['mae'].with_batch(100)
  sides = {
    'ours': _runs(0.5, flops=989e11, device='NVIDIA H200'),
    'theirs': _runs(1.0),
  }
  speed, share, memory = gpu_step.family_rows('mae', family, sides)
  assert (speed['ours'], speed['theirs'], speed['ratio']) == (200, 100, 2)
  assert (share['ours'], share['theirs']) == (0.2, 0.1)
  assert (memory['ours'], memory['ratio']) == (2, 1)
  assert 'batch 100, views 1 x 224' in speed['detail']
  assert 'failed' not in speed


def test_a_side_that_fails_leaves_the_other():
  family = families.GPU['mae']
  error = subprocess.CalledProcessError(1, 'python', stderr=OUT_OF_MEMORY)
  sides = {
    'ours': _runs(0.5, flops=1e12, device='cpu'),
    'theirs': gpu_step.Runs(failure=gpu_step.reason(error)),
  }
  speed, *_ = gpu_step.family_rows('mae', family, sides)
  assert speed['ours'] == 512
  assert speed['theirs'] is None
  assert (
    speed['failed'] == 'theirs: torch.OutOfMemoryError: CUDA out of memory.'
  )


OUT_OF_MEMORY = """Traceback (most recent call last):
  File "a.py", line 1, in <module>
torch.OutOfMemoryError: CUDA out of memory.
--------------------
For simplicity, frames were removed.
"""


def test_other_networks_are_no_comparison():
  sides = {'ours': _runs(1.0, parameters=9), 'theirs': _runs(1.0)}
  assert 'different numbers of parameters' in gpu_step.failures(sides)


@pytest.mark.parametrize('name', ['vit_s', 'clip_text'])
def test_attention_of_xla(name):
  args = argparse.Namespace(device='cpu', repeats=1, calls=1)
  row = attention.attention_row(name, args)
  assert row['theirs'] > 0
  assert row['ours'] is None
  assert 'cudnn not run: no GPU' in row['detail']


def test_epochs_that_fit():
  # 60 s at 1000 images/s, of which 5 % are spared.
  assert cifar10.epochs_for(1.0, 1000.0, num_examples=10_000) == 5
  assert cifar10.epochs_for(1.0, 1.0, num_examples=10_000) == 1
  assert cifar10.epochs_for(1e3, 1e6, num_examples=10_000) == cifar10.EPOCHS


def test_rows_are_on_the_disk_at_once_and_failures_are_the_exit_code(tmp_path):
  path = tmp_path / 'rows.jsonl'

  def some():
    yield _row('a')
    assert len(table.read(path)) == 1
    yield rows.failed(_row('b'), 'no memory')

  assert rows.report(some(), str(path)) == 1
  assert [row['name'] for row in table.read(path)] == ['a', 'b']
  assert rows.report([_row('a')], None) == 0


def _row(name, ours=2.0, detail='a|b'):
  return rows.row(
    name, ours=ours, theirs=1.0, unit='s', peer='a peer', detail=detail
  )


def test_page(tmp_path):
  path = tmp_path / 'some.jsonl'
  found = [
    _row('a'),
    _row('b', ours=None, detail='not run: no GPU found'),
    rows.failed(_row('c', ours=None), 'no memory'),
  ]
  path.write_text(''.join(json.dumps(row) + '\n' for row in found))
  text = table.page(
    [path, tmp_path / 'none.jsonl'], title='Title', command='command'
  )
  assert text.startswith('# Title\n')
  assert f'jax {jax.__version__}' in text
  assert '| a | 2 | 1 | 2 | s | a peer | a\\|b |' in text
  assert '| b | not run | 1 |  | s | a peer | not run: no GPU found |' in text
  assert '| c | - | 1 |  | s | a peer | **failed**: no memory; a\\|b |' in text
  assert 'No rows in `none.jsonl`' in text


def _script(*arguments, **variables):
  return subprocess.run(
    ['bash', 'benchmarks/gpu.sh', *arguments],
    cwd=ROOT,
    env={
      **os.environ,
      'PYTHON': sys.executable,
      'CUDA_VISIBLE_DEVICES': '',
      **variables,
    },
    capture_output=True,
    text=True,
    timeout=60,
    check=False,
  )


def test_script_refuses_to_measure_without_a_gpu(tmp_path):
  done = _script('--out', str(tmp_path / 'out'))
  assert done.returncode == 2
  assert done.stdout == ''
  assert done.stderr.startswith('gpu.sh: JAX finds no GPU')
  assert len(done.stderr.splitlines()) == 1
  assert not (tmp_path / 'out').exists()


@pytest.mark.parametrize('arguments', [['--out'], ['--gpus', '2']])
def test_script_refuses_what_it_does_not_know(arguments):
  done = _script(*arguments)
  assert done.returncode == 2
  assert arguments[0] in done.stderr


def test_script_does_not_overwrite(tmp_path):
  done = _script('--dry_run', '--out', str(tmp_path))
  assert done.returncode == 2
  assert 'another --out' in done.stderr


def test_script_goes_on_after_a_benchmark_that_fails(tmp_path):
  log, fake = tmp_path / 'calls', tmp_path / 'python'
  fake.write_text(
    f'#!/usr/bin/env bash\necho "$*" >> {log}\n'
    'case "$*" in *benchmarks.speed.attention*) exit 1 ;; esac\n'
  )
  fake.chmod(0o755)
  out = str(tmp_path / 'out')
  done = _script('--out', out, '--minutes', '7', PYTHON=str(fake))
  assert done.returncode == 1
  modules = [
    line.split()[1]
    for line in log.read_text().splitlines()
    if line.startswith('-m ')
  ]
  names = (
    'speed.gpu_step',
    'speed.attention',
    'quality.cifar10',
    'report.table',
  )
  assert modules == [f'benchmarks.{name}' for name in names]
  assert '--minutes 7 --data_name cifar10' in log.read_text()
