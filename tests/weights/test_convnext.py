"""ConvNeXt from and to timm, by the files that timm writes."""

import chex
import jax
import pytest

from jaxssl.train.workdir import Workdir
from jaxssl.weights.exported import save_encoder
from tests.commands import runs
from tests.models.timm_reference import relative_error
from tests.weights import released

SIDES = (96, 160)
# timm's small sizes of version 2 keep their MLPs as 1x1 convolutions.
CASES = [
  ('convnext_tiny', 'convnext_t', (1, 1, 2, 1)),
  ('convnextv2_tiny', 'convnextv2_t', (1, 1, 2, 1)),
  ('convnextv2_atto', 'convnextv2_atto', (2, 2, 6, 2)),
  *(
    pytest.param(*case, marks=pytest.mark.slow)
    for case in (
      ('convnext_tiny', 'convnext_t', (3, 3, 9, 3)),
      ('convnext_small', 'convnext_t', (1, 1, 2, 1)),
      ('convnext_base', 'convnext_t', (1, 1, 2, 1)),
      ('convnext_large', 'convnext_t', (1, 1, 2, 1)),
      ('convnextv2_base', 'convnextv2_t', (1, 1, 2, 1)),
    )
  ),
]


def _features(exported, images):
  return jax.jit(exported.encoder.apply)(exported.variables, images)[0]


@pytest.mark.reference
@pytest.mark.parametrize(('theirs', 'ours', 'blocks'), CASES)
def test_features_equal_timm(theirs, ours, blocks, tmp_path):
  import timm

  model = released.from_timm(
    tmp_path / 'model', theirs, SIDES[0], depths=blocks
  )
  exported = released.imported(tmp_path / 'model', tmp_path / 'run')
  assert exported.section['name'] == ours
  config = timm.data.resolve_model_data_config(model)
  shown = released.assert_same_pixels(
    exported, timm.data.create_transform(**config)
  )
  for images in (shown, released.images(SIDES[1])):
    expected = released.features_of_timm(model, images)
    error = relative_error(_features(exported, images), expected)
    assert error < released.TOLERANCE


@pytest.mark.reference
def test_the_largest_has_another_epsilon(tmp_path):
  arguments = {'depths': (1, 1, 1, 1), 'dims': (8, 16, 32, 64)}
  model = released.from_timm(
    tmp_path / 'model', 'convnext_xxlarge', SIDES[0], **arguments
  )
  exported = released.imported(tmp_path / 'model', tmp_path / 'run')
  assert exported.encoder.epsilon == model.stem[1].eps == 1e-5


@pytest.mark.reference
@pytest.mark.parametrize(
  ('name', 'what'),
  [
    ('convnext_atto_ols', 'stem.'),
    ('convnext_atto_rms', 'is missing'),
    ('convnext_tiny_hnf', 'head.norm.weight is missing'),
    ('convnext_large_mlp', 'head.pre_logits.fc.weight is not used'),
  ],
)
def test_other_heads_and_stems_are_refused(name, what, tmp_path, capsys):
  arguments = {'depths': (1, 1, 1, 1), 'dims': (8, 16, 32, 64)}
  folder = tmp_path / 'model'
  released.from_timm(folder, name, SIDES[0], **arguments)
  run = tmp_path / 'run'
  assert runs.jaxssl('import', folder, f'--workdir={run}') == 2
  assert what in capsys.readouterr().err
  assert not run.exists()


@pytest.mark.reference
@pytest.mark.parametrize('name', ['convnext_t', 'convnextv2_t'])
def test_export_and_back(name, tmp_path):
  import timm

  section = {'name': name, 'blocks': (1, 2, 1, 1), 'width': 16}
  exported = released.random_export(section, SIDES[0])
  save_encoder(Workdir(tmp_path / 'run').export, exported)
  out = tmp_path / 'out'
  command = ('export', 'timm', f'--workdir={tmp_path / "run"}', f'--out={out}')
  assert runs.jaxssl(*command) == 0
  model = timm.create_model(f'local-dir:{out}', pretrained=True).eval()
  back = released.imported(out, tmp_path / 'back')
  chex.assert_trees_all_equal(back.variables, exported.variables)
  for size in SIDES:
    images = released.images(size)
    own = _features(exported, images)
    theirs = released.features_of_timm(model, images)
    assert relative_error(own, theirs) < released.TOLERANCE
    chex.assert_trees_all_equal(_features(back, images), own)
