"""From picture files to numbers, as the library that the weights come from."""

import dataclasses
import json

import jax
import numpy as np
from PIL import Image
import pytest

from jaxssl import build, data, models
from jaxssl.augment.preprocessing import Preprocessing, usual
from jaxssl.config import schema
from jaxssl.job import eval_batches, exported_encoder, make_job
from jaxssl.train.workdir import Workdir
from jaxssl.weights import (
  huggingface_two_towers,
  preprocessors,
  safetensors_file,
  timm,
)
from jaxssl.weights.exported import load_encoder
from tests.commands import runs
from tests.data.test_crop import picture
from tests.models import (
  timm_reference,
  transformers_pairs,
  transformers_reference,
)
from tests.weights import clip_towers
from tests.weights.dalle_tensors import to_dalle

SIZE = transformers_pairs.SIZE
SIDES = [(40, 61), (61, 40), (47, 83), (33, 90), (90, 37)]
TOWER = ('dim=32', 'depth=2', 'mlp_ratio=2.0')
HEADS = 'num_heads=4'


@pytest.fixture(scope='module')
def pictures(tmp_path_factory):
  """Files of several shapes."""
  folder = tmp_path_factory.mktemp('pictures')
  for number, sides in enumerate(SIDES):
    Image.fromarray(picture(*sides)).save(folder / f'{number}.png')
  return folder


def _opened(folder):
  return [Image.open(path) for path in sorted(folder.iterdir())]


def _import(library, file, workdir, *arguments):
  command = ('import', library, file, f'--workdir={workdir}', *arguments)
  assert runs.jaxssl(*command) == 0
  return load_encoder(Workdir(workdir).export)


def _options(section, *options):
  return [f'--config.{section}.{option}' for option in options]


def _seen(exported, folder):
  """Returns the input of an encoder for the files of a folder."""
  (batch,) = data.eval_batches(
    data.make_source(str(folder)),
    batch_size=len(SIDES),
    preprocessing=exported.preprocessing,
  )
  return exported.normalize(batch['image'])


def _logits(workdir, exported, folder, text):
  method = build.build_method(Workdir(workdir).read_config())
  towers = {'encoder': exported.variables, **exported.towers}
  x = jax.jit(method.encode_image)(towers, _seen(exported, folder))
  y = jax.jit(method.encode_text)(towers, text)
  scalars = towers['logits']['params']
  return np.exp(scalars['scale']) * x @ y.T + scalars.get('bias', 0.0)


def _pair(library, folder, workdir, names, *options):
  encoder, text_encoder = names
  return _import(
    library,
    folder,
    workdir,
    f'--encoder={encoder}',
    f'--text_encoder={text_encoder}',
    *_options('encoder', *TOWER, *options),
    *_options('text_encoder', *TOWER),
  )


def _save_transformers(model, processor, folder):
  model.config.save_pretrained(folder)
  processor.save_pretrained(folder)
  safetensors_file.write(
    folder / 'model.safetensors', transformers_reference.tensors(model)
  )


PAIRS = {
  'clip': (
    transformers_pairs.clip,
    'CLIPImageProcessorPil',
    {'size': {'shortest_edge': 39}, 'crop_size': SIZE, 'image_mean': [0.4] * 3},
    ('clip_vit_b8', 'clip_512'),
  ),
  'siglip': (
    transformers_pairs.siglip,
    'SiglipImageProcessorPil',
    {'size': {'height': SIZE, 'width': SIZE}},
    ('siglip_vit_b8', 'siglip_b'),
  ),
}


@pytest.mark.reference
@pytest.mark.parametrize('name', PAIRS)
def test_logits_from_files_equal_transformers(
  name, pictures, tmp_path, monkeypatch
):
  import torch
  import transformers

  # The tiny vocabulary has no tokenizer.
  monkeypatch.setattr(build, 'build_tokenizer', lambda config: None)
  make, kind, arguments, names = PAIRS[name]
  model, processor = make(), getattr(transformers, kind)(**arguments)
  _save_transformers(model, processor, tmp_path / 'model')
  workdir = tmp_path / 'run'
  exported = _pair('huggingface', tmp_path / 'model', workdir, names)
  text = transformers_pairs.text()
  ours = _logits(workdir, exported, pictures, text)
  with torch.no_grad():
    theirs = model(
      input_ids=torch.from_numpy(text).long(),
      pixel_values=processor(_opened(pictures), return_tensors='pt')[
        'pixel_values'
      ],
    )
  # float32 on both sides, two blocks; the pixels are equal.
  np.testing.assert_allclose(ours, theirs.logits_per_image, atol=1e-4)


@pytest.mark.reference
def test_logits_from_files_equal_open_clip(pictures, tmp_path):
  from open_clip import transform
  import torch

  from benchmarks.peers import torch_open_clip

  model = torch_open_clip.vit(
    image=clip_towers.SMALL,
    text=clip_towers.SMALL,
    image_size=SIZE,
    patch_size=8,
    vocab_size=clip_towers.TOKENIZER.vocab_size,
    length=clip_towers.LENGTH,
    out_dim=24,
    quick_gelu=False,
  )
  folder, workdir = tmp_path / 'model', tmp_path / 'run'
  folder.mkdir()
  safetensors_file.write(
    folder / 'open_clip_model.safetensors',
    {n: t.numpy() for n, t in model.state_dict().items()},
  )
  preprocess = {
    'mean': [0.3, 0.4, 0.5],
    'std': [0.2, 0.3, 0.4],
    'interpolation': 'bilinear',
    'resize_mode': 'shortest',
  }
  vision = {'image_size': SIZE, 'layers': 2, 'width': 32, 'head_width': 8}
  content = {
    'model_cfg': {'vision_cfg': vision, 'text_cfg': {'heads': 4}},
    'preprocess_cfg': preprocess,
  }
  (folder / 'open_clip_config.json').write_text(json.dumps(content))
  names = ('clip_vit_b8', 'clip_512')
  exported = _pair('open_clip', folder, workdir, names)
  text = clip_towers.text()
  prepare = transform.image_transform_v2(
    transform.PreprocessCfg(size=SIZE, **preprocess), is_train=False
  )
  images = torch.stack([prepare(image) for image in _opened(pictures)])
  x, y, _ = torch_open_clip.run(
    model, images.numpy().transpose(0, 2, 3, 1), text
  )
  scale = np.exp(model.state_dict()['logit_scale'].numpy())
  # float32 on both sides, two blocks; the pixels are equal.
  np.testing.assert_allclose(
    _logits(workdir, exported, pictures, text), scale * x @ y.T, atol=1e-4
  )


@pytest.mark.reference
@pytest.mark.parametrize('crop_mode', ['center', 'squash'])
def test_features_from_files_equal_timm(crop_mode, pictures, tmp_path):
  from timm import data as timm_data
  from timm.models import save_for_hf
  import torch

  model = timm_reference.make(
    'vit_tiny_patch16_224',
    img_size=SIZE,
    patch_size=8,
    embed_dim=32,
    depth=2,
    num_heads=4,
    act_layer='quick_gelu',
  )
  config = {'crop_pct': 0.9, 'crop_mode': crop_mode, 'mean': (0.4, 0.5, 0.6)}
  save_for_hf(
    model, tmp_path / 'm', safe_serialization=True, data_config=config
  )
  exported = _import(
    'timm',
    tmp_path / 'm',
    tmp_path / 'run',
    '--encoder=vit_ti8',
    *_options('encoder', 'dim=32', 'depth=2'),
  )
  assert exported.section['num_heads'] == 4
  assert exported.section['act'] == 'quick_gelu'
  saved = json.loads((tmp_path / 'm' / 'config.json').read_text())
  prepare = timm_data.create_transform(
    **timm_data.resolve_data_config(pretrained_cfg=saved['pretrained_cfg'])
  )
  with torch.no_grad():
    theirs = model(torch.stack([prepare(i) for i in _opened(pictures)]))
  ours, _ = jax.jit(exported.encoder.apply)(
    exported.variables, _seen(exported, pictures)
  )
  # float32 on both sides, two blocks; the pixels are equal.
  np.testing.assert_allclose(ours, theirs, atol=1e-4)


@pytest.mark.reference
def test_pixels_that_no_patch_sees_are_left_out_as_transformers_does(
  pictures, tmp_path
):
  """As google/siglip-so400m-patch14-384: 384 pixels, 27 patches of 14."""
  import torch
  import transformers

  size = 30
  config = transformers.SiglipVisionConfig(
    hidden_size=32,
    intermediate_size=64,
    num_hidden_layers=2,
    num_attention_heads=4,
    image_size=size,
    patch_size=8,
  )
  model = transformers_reference.randomize(
    transformers.SiglipVisionModel(config)
  ).eval()
  processor = transformers.SiglipImageProcessorPil(
    size={'height': size, 'width': size}
  )
  _save_transformers(model, processor, tmp_path / 'model')
  exported = _import(
    'huggingface',
    tmp_path / 'model',
    tmp_path / 'run',
    '--encoder=siglip_vit_b8',
    *_options('encoder', *TOWER),
  )
  assert exported.image_size == size
  assert exported.section['grid'] == (3, 3)
  with torch.no_grad():
    theirs = model(
      processor(_opened(pictures), return_tensors='pt')['pixel_values']
    ).pooler_output
  ours, _ = jax.jit(exported.encoder.apply)(
    exported.variables, _seen(exported, pictures)
  )
  # float32 on both sides, two blocks.
  np.testing.assert_allclose(ours, theirs, atol=1e-4)


# Every format without files beside the weights.
OURS = models.make_encoder('vit_ti8', dim=32, depth=1, num_heads=4)


def _timm_tensors(**options):
  encoder = models.make_encoder(
    'vit_ti8', dim=32, depth=1, num_heads=4, **options
  )
  variables = timm_reference.random_variables(
    encoder, np.zeros((1, SIZE, SIZE, 3), np.float32)
  )
  return timm.to_timm(variables)


def _prefixed(prefix, **options):
  tensors = _timm_tensors(**options)
  return {prefix + name: tensor for name, tensor in tensors.items()}


def _dalle_tensors():
  encoder = models.make_encoder(
    'dvae', width=8, blocks_per_group=1, vocab_size=16
  )
  return to_dalle(
    timm_reference.random_variables(
      encoder, np.zeros((1, SIZE, SIZE, 3), np.float32)
    )
  )


def _clip_tensors():
  return huggingface_two_towers.tensors(clip_towers.random(clip_towers.clip()))


def _transformers_tensors(make):
  def tensors():
    return transformers_reference.tensors(make())

  return tensors


VIT = ('--encoder=vit_ti8', *_options('encoder', 'dim=32', 'depth=1', HEADS))
VIT_2 = ('--encoder=vit_ti8', *_options('encoder', 'dim=32', 'depth=2', HEADS))
DVAE = ('width=8', 'blocks_per_group=1', 'vocab_size=16')
BEIT = ('position=relative', 'layer_scale=0.1', 'use_mask_token=true')
# Name of the release -> format, tensors, arguments.
BARE = {
  'timm': ('timm', _timm_tensors, VIT),
  'dino': ('dino', lambda: _prefixed('teacher.backbone.'), VIT),
  'moco_v3': (
    'moco_v3',
    lambda: _prefixed('module.base_encoder.', position='sincos_moco'),
    (*VIT, *_options('encoder', 'position=sincos_moco')),
  ),
  'dalle': (
    'dalle',
    _dalle_tensors,
    ('--encoder=dvae', *_options('encoder', *DVAE)),
  ),
  'clip': (
    'huggingface',
    _clip_tensors,
    ('--encoder=clip_vit_b8', *_options('encoder', *TOWER, HEADS)),
  ),
}
# Both towers: format, tensors, arguments.
TEXT = ('--text_encoder=clip_512', *clip_towers.text_arguments())
BARE_PAIRS = {
  'huggingface': (
    'huggingface',
    _clip_tensors,
    (
      '--encoder=clip_vit_b8',
      *_options('encoder', *TOWER, HEADS),
      *TEXT,
    ),
  ),
  'open_clip': (
    'open_clip',
    clip_towers.open_clip_resnet_tensors,
    clip_towers.resnet_arguments(),
  ),
}
BARE_OF_TRANSFORMERS = {
  'siglip': (
    'huggingface',
    _transformers_tensors(transformers_pairs.siglip),
    ('--encoder=siglip_vit_b8', *_options('encoder', *TOWER, HEADS)),
  ),
  'vit_mae': (
    'huggingface',
    _transformers_tensors(transformers_reference.vit_mae),
    (*VIT_2, *_options('encoder', 'position=sincos_mae')),
  ),
  'beit': (
    'huggingface',
    _transformers_tensors(lambda: transformers_reference.beit(16)),
    (*VIT_2, *_options('encoder', *BEIT)),
  ),
}


def _import_bare(case, tmp_path, *more):
  library, tensors, arguments = case
  file = tmp_path / 'weights.safetensors'
  safetensors_file.write(file, tensors())
  more = (f'--image_size={SIZE}', *more)
  return _import(library, file, tmp_path / 'run', *arguments, *more)


@pytest.mark.parametrize('release', BARE)
def test_without_files_the_rule_is_the_release_s(release, tmp_path):
  exported = _import_bare(BARE[release], tmp_path)
  expected = preprocessors.RELEASED[release].of_size(SIZE)
  assert exported.preprocessing == expected


@pytest.mark.parametrize('library', BARE_PAIRS)
def test_without_files_a_pair_has_the_rule_of_openai(library, tmp_path):
  exported = _import_bare(BARE_PAIRS[library], tmp_path)
  expected = preprocessors.RELEASED['clip'].of_size(SIZE)
  assert exported.preprocessing == expected


@pytest.mark.reference
@pytest.mark.parametrize('release', BARE_OF_TRANSFORMERS)
def test_without_files_transformers_has_the_release_s_rule(release, tmp_path):
  exported = _import_bare(BARE_OF_TRANSFORMERS[release], tmp_path)
  expected = preprocessors.RELEASED[release].of_size(SIZE)
  assert exported.preprocessing == expected


@pytest.mark.parametrize('release', BARE)
def test_the_user_has_the_last_word(release, tmp_path):
  exported = _import_bare(
    BARE[release],
    tmp_path,
    '--resize=squash',
    '--crop_fraction=0.8',
    '--interpolation=box',
    *('--mean', '0.1', '0.2', '0.3', '--std', '0.4', '0.5', '0.6'),
  )
  assert exported.preprocessing == Preprocessing(
    image_size=SIZE,
    resize_size=40,
    resize='squash',
    interpolation='box',
    mean=(0.1, 0.2, 0.3),
    std=(0.4, 0.5, 0.6),
  )


RULE = Preprocessing(
  image_size=SIZE,
  resize_size=39,
  resize='squash',
  interpolation='lanczos',
  mean=(0.1, 0.2, 0.3),
  std=(0.4, 0.5, 0.6),
)
TOLD = ('act=gelu_tanh', 'epsilon=1e-3', HEADS)
FLAGS = (
  '--resize=squash',
  f'--crop_fraction={SIZE / 39}',
  '--interpolation=lanczos',
  *('--mean', '0.1', '0.2', '0.3', '--std', '0.4', '0.5', '0.6'),
)


@pytest.mark.parametrize(
  ('library', 'offset'), [('timm', 'round'), ('huggingface', 'floor')]
)
@pytest.mark.parametrize('both', [True, False], ids=['pair', 'tower'])
def test_what_is_exported_comes_back(library, offset, both, tmp_path):
  file = tmp_path / 'weights.safetensors'
  safetensors_file.write(file, _clip_tensors())
  sizes = _options('encoder', *TOWER)
  text = (
    '--text_encoder=clip_512',
    *_options('text_encoder', *TOWER, HEADS),
  )
  first = _import(
    'huggingface',
    file,
    tmp_path / 'first',
    '--encoder=clip_vit_b8',
    f'--image_size={SIZE}',
    *text,
    *sizes,
    # timm always has it, transformers' CLIP never.
    *_options('encoder', *TOLD, f'antialias={library == "timm"}'),
    *FLAGS,
  )
  assert first.preprocessing == RULE
  out = tmp_path / 'out'
  command = ('export', library, f'--workdir={tmp_path / "first"}')
  assert runs.jaxssl(*command, f'--out={out}') == 0
  both = both and library == 'huggingface'
  again = _import(
    library,
    out,
    tmp_path / 'again',
    '--encoder=clip_vit_b8',
    *sizes,
    *(text if both else ()),
  )
  # transformers cuts on its own side of half a pixel.
  assert again.preprocessing == dataclasses.replace(RULE, offset=offset)
  assert again.section == first.section


def test_our_own_export_keeps_every_field(tmp_path):
  exported = _import_bare(BARE['timm'], tmp_path, *FLAGS)
  out = tmp_path / 'out'
  command = ('export', 'safetensors', f'--workdir={tmp_path / "run"}')
  assert runs.jaxssl(*command, f'--out={out}') == 0
  assert load_encoder(out).preprocessing == exported.preprocessing == RULE


def test_positions_of_another_grid_with_as_many_patches(tmp_path):
  encoder = models.make_encoder('vit_ti8', dim=32, depth=1, num_heads=4)
  x = np.zeros((1, SIZE, SIZE, 3), np.float32)
  tensors = timm.to_timm(timm_reference.random_variables(encoder, x))
  folder = tmp_path / 'model'
  folder.mkdir()
  safetensors_file.write(folder / 'model.safetensors', tensors)
  # 16 patches: 2 x 8 of the file, 4 x 4 of the images.
  cfg = {'input_size': [3, 16, 64]}
  (folder / 'config.json').write_text(json.dumps({'pretrained_cfg': cfg}))
  more = (*VIT, f'--image_size={SIZE}')
  exported = _import('timm', folder, tmp_path / 'run', *more)
  assert exported.section['grid'] == (2, 8)
  oblong = np.random.default_rng(0).normal(size=(2, 16, 64, 3))
  ours, _ = exported.encoder.apply(exported.variables, oblong)
  theirs = models.make_encoder(
    'vit_ti8', dim=32, depth=1, num_heads=4, grid=(2, 8)
  )
  variables = timm.from_timm(
    tensors, jax.eval_shape(theirs.init, jax.random.key(0), oblong)
  )
  np.testing.assert_array_equal(ours, theirs.apply(variables, oblong)[0])


def test_oblong_images_are_refused_without_a_size(tmp_path, capsys):
  folder = tmp_path / 'model'
  folder.mkdir()
  safetensors_file.write(folder / 'model.safetensors', _timm_tensors())
  cfg = {'input_size': [3, 16, 64]}
  (folder / 'config.json').write_text(json.dumps({'pretrained_cfg': cfg}))
  command = ('import', 'timm', folder, f'--workdir={tmp_path / "run"}', *VIT)
  assert runs.jaxssl(*command) == 2
  assert 'input_size is [16, 64], but encoders take' in capsys.readouterr().err
  assert not (tmp_path / 'run').exists()


CONFIG = {
  'method': {'name': 'simclr'},
  'encoder': {'name': 'vit_ti8', 'dim': 16, 'depth': 1, 'num_heads': 2},
  'augment': {'name': 'simclr_cifar', 'size': 24},
  'input': {'image_size': 24},
  'optim': {'name': 'adamw', 'learning_rate': 1e-3},
  'train': {'steps': 1, 'batch_size': 8},
}


@pytest.mark.parametrize(
  'evaluation',
  [
    {},
    {'crop_fraction': 0.8, 'resize': 'squash', 'interpolation': 'lanczos'},
    {'image_size': 40, 'crop_fraction': 0.5},
  ],
)
def test_training_looks_at_the_pictures_that_evaluation_sees(
  evaluation, pictures
):
  source = data.make_source(str(pictures))
  config = {**CONFIG, 'data': {'name': 'folder', 'path': str(pictures)}}
  run = build.build(schema.complete({**config, 'eval': evaluation}), source)
  exported = exported_encoder(run, {'encoder': {}}, step=1)
  (online,) = eval_batches(run, source)
  (offline,) = data.eval_batches(
    source, batch_size=256, preprocessing=exported.preprocessing
  )
  np.testing.assert_array_equal(online['image'], offline['image'])


def test_a_run_with_texts_shows_whole_pictures(pictures):
  clip = {
    **CONFIG,
    'method': {'name': 'clip'},
    'text_encoder': {'name': 'clip_512', 'dim': 16, 'depth': 1, 'num_heads': 2},
    'augment': {'name': 'clip', 'size': 224},
    'input': {'image_size': 224},
    'data': {'name': 'photos'},
  }
  run = build.build(schema.complete(clip))
  assert run.preprocessing.resize_size == 224
  simclr = {**CONFIG, 'input': {'image_size': 224}, 'data': {'name': 'photos'}}
  run = build.build(schema.complete(simclr))
  assert run.preprocessing == usual(224)


def test_features_are_computed_again_for_another_rule(tmp_path):
  _import_bare(BARE['timm'], tmp_path)
  run = tmp_path / 'run'
  command = ('eval', 'knn', f'--workdir={run}', '--data=digits', '--limit=64')

  def fingerprints():
    assert runs.jaxssl(*command) == 0
    files = sorted((run / 'features').glob('*.npz'))
    return [str(np.load(file)['fingerprint']) for file in files]

  before = fingerprints()
  assert before == fingerprints()
  path = run / 'export' / 'encoder.json'
  info = json.loads(path.read_text())
  path.write_text(json.dumps(info | {'interpolation': 'nearest'}))
  assert not set(before) & set(fingerprints())


@pytest.mark.parametrize('same', [True, False])
def test_a_run_warns_of_weights_that_are_used_to_other_numbers(
  same, pictures, tmp_path, capsys
):
  # SimCLR's views have no mean and deviation.
  plain = ('--mean', '0', '0', '0', '--std', '1', '1', '1')
  _import_bare(BARE['timm'], tmp_path, *(plain if same else ()))
  config = {
    **CONFIG,
    'method': {'name': 'supervised', 'num_classes': 2},
    'encoder': {'name': 'vit_ti8', 'dim': 32, 'depth': 1, 'num_heads': 4},
    'data': {'name': 'folder', 'path': str(pictures)},
    'train': {
      **CONFIG['train'],
      'init_encoder': str(tmp_path / 'run' / 'export'),
    },
  }
  run = build.build(schema.complete(config), data.make_source(str(pictures)))
  make_job(run).load_towers()
  # The command has pointed the log at the standard error.
  count = capsys.readouterr().err.count('was trained on pictures of mean')
  assert count == (0 if same else 1)


@pytest.mark.parametrize(
  ('given', 'told'), [((), True), (('--config.encoder.grid=4,4',), False)]
)
def test_a_grid_that_is_assumed_is_told(given, told, tmp_path, capsys):
  _import_bare(BARE['timm'], tmp_path, *given)
  message = capsys.readouterr().err
  assert 'pictures: the shorter side to 37 pixels (bicubic)' in message
  assert ('--config.encoder.grid=ROWS,COLUMNS' in message) == told
