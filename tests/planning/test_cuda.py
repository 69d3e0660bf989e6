import re

import jax
import pytest

from jaxssl import errors
from jaxssl.parallel import modes
from jaxssl.planning import chips, compiled, cuda
from tests.planning import small_recipes

with_compiler = pytest.mark.skipif(
  not cuda.has_compiler(),
  reason='the compiler for GPUs is not installed: pip install "jaxssl[cuda]"',
)
RECIPES = sorted(small_recipes.RECIPES)
MODES = {
  'jit': ('train.mode=jit', 'train.fsdp=8'),
  'pmap': ('train.mode=pmap',),
}
# Losses that look at one row at a time: under pmap they differ from jit by the
# mean over devices only, which others have as well. MoCo v1 is v2 with another
# head.
ONE_MODE = {
  'beit_vit_b16_imagenet',
  'colorization_resnet50_imagenet',
  'data2vec_vit_b16_imagenet',
  'dvae_imagenet',
  'ibot_vit_s16_imagenet',
  'ijepa_vit_h14_imagenet',
  'jigsaw_resnet50_imagenet',
  'mae_vit_b16_imagenet',
  'maskfeat_vit_b16_imagenet',
  'moco_v1_resnet50_imagenet',
  'relative_patch_resnet50_imagenet',
  'rotation_resnet50_imagenet',
  'simmim_vit_b16_imagenet',
}
TRACED = [
  (name, mode)
  for name in RECIPES
  for mode in MODES
  if mode == 'jit' or name not in ONE_MODE
]
# Ten seconds each on one core; the others are lowered only.
COMPILED = [
  ('beit_vit_b16_imagenet', 'jit'),  # a bias on the logits
  ('clip_vit_b32_tar', 'pmap'),  # 50 and, causal, 77 tokens; the ring
  ('mae_vit_b16_imagenet', 'jit'),  # 50 and 197 tokens
]
DETERMINISTIC = 'clip_vit_b32_tar'


def _also(usual, others):
  """Cases that are run, and others that --full runs."""
  full = [case for case in others if case not in usual]
  return [*usual, *(pytest.param(*c, marks=pytest.mark.full) for c in full)]


def test_every_card_is_described():
  assert set(cuda.CARDS) == set(chips.GPUS)
  for name in cuda.CARDS:
    text = cuda.description(name)
    assert text.count('{') == text.count('}')


def test_an_unknown_card_is_a_user_error():
  with pytest.raises(errors.UserError, match="did you mean 'h100'"):
    cuda.cards('h10', 1)


def test_without_the_compiler_the_user_is_told(monkeypatch):
  monkeypatch.setattr(cuda, 'has_compiler', lambda: False)
  with pytest.raises(errors.UserError, match=r'jaxssl\[cuda\]'):
    cuda.cards('h100', 1)


@with_compiler
@pytest.mark.parametrize('name', sorted(cuda.CARDS))
def test_cards_are_devices(name):
  target = cuda.cards(name, 8)
  assert target.num_chips == 8
  assert {device.platform for device in target.devices} == {'gpu'}
  modes.make_mesh(list(target.devices), fsdp=4)


@with_compiler
@pytest.mark.slow
@pytest.mark.parametrize(
  ('name', 'mode'), _also(TRACED, [(n, 'pmap') for n in RECIPES])
)
def test_every_recipe_is_traced_for_gpus(name, mode):
  plan = small_recipes.plan(name, *MODES[mode])
  text = compiled.lower_step(plan, cuda.cards('h100', 8)).as_text()
  # In the global view the compiler calls back for its part of the batch.
  kernels = re.findall(r'@(__cudnn\$fmha\w+|CustomSPMDPartitioning)', text)
  has_attention = 'vit' in name or 'clip' in name
  assert (len(kernels) >= 2) == has_attention
  # Several threads would add to the same place, atomically and in any order.
  assert not re.findall(r'stablehlo\.(?:select_and_)?scatter', text)


@with_compiler
@pytest.mark.slow
@pytest.mark.parametrize(
  ('name', 'mode'), _also(COMPILED, [(n, 'jit') for n in RECIPES])
)
def test_recipes_compile_for_gpus(name, mode):
  plan = small_recipes.plan(name, *MODES[mode])
  report = compiled.compile_step(plan, cuda.cards('h100', 8))
  assert report.fits
  assert report.collectives['all-reduce'] > 0
  if 'clip' in name:
    assert report.collectives['collective-permute'] > 0
  assert 0 < report.needed < 2**30


@with_compiler
@pytest.mark.slow
@pytest.mark.parametrize(
  'name',
  [
    pytest.param(n, marks=() if n == DETERMINISTIC else pytest.mark.full)
    for n in RECIPES
  ],
)
def test_deterministic_steps_add_up_without_atomics(name):
  plan = small_recipes.plan(name, 'train.deterministic=true')
  target = cuda.cards('h100', 1)
  lowered = compiled.lower_step(plan, target)
  text = lowered.compile(compiler_options=target.options).as_text()
  scatters = re.findall(r' (?:select-and-)?scatter\(.*', text)
  # What several threads add to must be added atomically, in any order.
  shared = [line for line in scatters if 'unique_indices=true' not in line]
  assert not shared


@with_compiler
@pytest.mark.slow
def test_recomputation_saves_as_much_on_several_gpus():
  temporary = {
    count: compiled.compile_step(
      small_recipes.plan(
        'moco_v3_vit_s16_imagenet',
        'encoder.depth=4',
        'encoder.remat=true',
        batch_size=64 * count,
      ),
      cuda.cards('h100', count),
    ).memory['temporary']
    for count in (1, 2)
  }
  # Ordered for speed, the kernels of two GPUs need twice as much.
  assert temporary[2] < 1.2 * temporary[1]


@with_compiler
def test_the_target_decides_about_attention_not_this_machine():
  # The same function, traced once, for what it is compiled for.
  assert jax.default_backend() == 'cpu'
  plan = small_recipes.plan('simclr_vit_s16_folder')
  cpu = modes.make_mode('jit', num_devices=1).compile(plan.step)
  assert '__cudnn' not in cpu.lower(plan.state, plan.batch).as_text()
