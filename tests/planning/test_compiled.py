import importlib.util
import pathlib

import pytest

from jaxssl import config as config_lib
from jaxssl import errors
from jaxssl.config import schema
from jaxssl.planning import abstract, compiled, target, tpu

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
  'text',
  [
    'Ran out of memory in memory space hbm. Used 20.50G of 15.75G hbm. ',
    'Ran out of memory on HBM, the total memory required for HLO temporaries '
    '(20.50G) exceeds available HBM (15.75G).',
  ],
)
def test_too_much_memory_is_read_from_the_compiler(text):
  used = compiled._TOO_MUCH.search(text)
  assert compiled._in_bytes(*used.group(1, 2)) == 20.5 * 2**30
  assert compiled._in_bytes(*used.group(3, 4)) == 15.75 * 2**30


def make_plan(name, *overrides):
  config = config_lib.load_file(str(ROOT / 'configs' / f'{name}.py'))
  config = schema.complete(config)
  changes = config_lib.parse_overrides(overrides)
  config = schema.apply_overrides(config, changes)
  return abstract.plan(config, num_examples=100_000)


def test_shapes_need_no_data():
  plan = make_plan('simclr_resnet50_imagenet')
  crops = plan.batch['crops']
  assert [crop.shape for crop in crops] == [(4096, 224, 224, 3)] * 2
  assert plan.batch['label'].shape == (4096,)


def test_text_is_part_of_the_batch():
  plan = make_plan('clip_vit_b32_tar')
  assert plan.batch['text'].shape == (32768, 77)


with_libtpu = pytest.mark.skipif(
  importlib.util.find_spec('libtpu') is None,
  reason='libtpu is not installed: pip install "jaxssl[tpu]"',
)


@with_libtpu
@pytest.mark.parametrize(
  'topology', ['v4:2x2x1', 'v5e:2x2', 'v5p:2x2x1', 'v6e:2x2']
)
def test_a_device_is_a_chip(topology):
  assert tpu.slice_of(topology).num_chips == 4


@with_libtpu
@pytest.mark.parametrize(
  ('topology', 'devices'),
  [
    ('v4:1x1x1', 1),
    ('v5e:1x1', 1),
    ('v5e:1x4', 4),
    ('v5e:2x4', 8),
    ('v5p:1x1x1', 1),
    ('v6e:1x1', 1),
    ('tpu7x:1x1x1', 2),
    ('tpu7x:2x2x1', 8),
    ('tpu7x:2x2x2', 16),
  ],
)
def test_slices_of_one_chip_and_devices_of_half_a_chip(topology, devices):
  assert tpu.slice_of(topology).num_chips == devices


@with_libtpu
def test_a_slice_that_is_none_is_refused_without_blaming_the_installation():
  with pytest.raises(errors.UserError, match=r'v5e:3x1: libtpu refuses') as e:
    tpu.slice_of('v5e:3x1')
  assert 'pip install' not in str(e.value)


def test_a_missing_compiler_is_named(monkeypatch):
  def fail(**options):
    raise RuntimeError('no plugin')

  monkeypatch.setattr(tpu.topologies, 'get_topology_desc', fail)
  monkeypatch.setattr(tpu.importlib.util, 'find_spec', lambda name: None)
  with pytest.raises(errors.UserError, match=r'pip install "jaxssl\[tpu\]"'):
    tpu.slice_of('v5e:2x2')


@with_libtpu
@pytest.mark.parametrize(
  ('mode', 'fsdp', 'chunk', 'collective'),
  [
    ('jit', 2, 'none', 'all-gather'),
    ('pmap', 1, 'none', 'all-reduce'),
    # The logits in blocks, around the ring of chips.
    ('pmap', 1, '4', 'collective-permute'),
  ],
)
def test_small_configs_compile_for_a_slice(mode, fsdp, chunk, collective):
  plan = make_plan(
    'quickstart',
    f'--config.train.mode={mode}',
    f'--config.train.fsdp={fsdp}',
    f'--config.method.chunk={chunk}',
    '--config.encoder.width=0.125',
    '--config.head.out_dim=8192',
    '--config.train.batch_size=16',
  )
  report = compiled.compile_step(plan, tpu.slice_of('v5e:2x2'))
  assert report.num_chips == 4
  assert report.fits
  assert 0 < report.needed < 2**30
  assert report.collectives['all-reduce'] > 0
  assert report.collectives[collective] > 0
  # Half of it is the padding of narrow layers; the head is most of the rest.
  held = compiled.state_bytes(plan, 4)
  assert held < report.memory['state and batch'] < 2 * held


@pytest.mark.parametrize(
  ('fsdp', 'share'), [('1', 1), ('4', 1 / 4), ('8', 1 / 8), ('None', 1 / 16)]
)
def test_chips_share_the_state(fsdp, share):
  plan = make_plan('mae_vit_b16_imagenet', f'--config.train.fsdp={fsdp}')
  whole = make_plan('mae_vit_b16_imagenet')
  held, all_of_it = (compiled.state_bytes(p, 16) for p in (plan, whole))
  # What is too small to be cut: norms, biases, tokens.
  assert held == pytest.approx(share * all_of_it, rel=0.05)


def test_chips_must_divide_into_groups():
  plan = make_plan('mae_vit_b16_imagenet', '--config.train.fsdp=3')
  with pytest.raises(errors.UserError, match='3, which does not divide 16'):
    compiled.state_bytes(plan, 16)


def test_devices_of_pmap_share_nothing():
  with pytest.raises(errors.UserError, match=r'train\.fsdp .* mode "jit"'):
    make_plan('quickstart', '--config.train.mode=pmap', '--config.train.fsdp=4')


def test_batch_must_spread_evenly():
  plan = make_plan('quickstart', '--config.train.batch_size=6')
  four = target.Target(name='v5e:2x2', devices=(None,) * 4)
  with pytest.raises(errors.UserError, match='4 chips'):
    compiled.compile_step(plan, four)
