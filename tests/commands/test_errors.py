"""Mistakes of the user: one line that helps, exit code 2, nothing changed."""

import json
import pathlib
import pickle
import shutil

import numpy as np
import pytest

import jaxssl
from jaxssl import cli
from jaxssl.weights import safetensors_file
from tests.commands import runs

TRAIN = ('train', '--workdir=new')
SIMCLR = (*TRAIN, '--method=simclr')
DIGITS = (*SIMCLR, '--data=digits')
EVAL = ('eval', 'knn', '--workdir={run}')
EMBED = ('embed', '--workdir={run}', '--out=new.npz')
EXPORT = ('export', 'safetensors', '--workdir={run}', '--out=new')
IMPORT = ('import', 'timm', '{weights}', '--workdir=new')

# name -> (arguments, what the line says: what is wrong, what would be right)
CASES = {
  'command': (('trian',), ("command 'trian'", "'train'")),
  'no_workdir': (('train',), ('--workdir', 'train --help')),
  'argument': ((*DIGITS, '--stesp=3'), ('--stesp=3', 'train --help')),
  'left_over': ((*DIGITS, 'now'), ('now', 'train --help')),
  'nothing_to_train': (TRAIN, ('--config', '--method')),
  'no_data': (SIMCLR, ('--data', 'photos', 'folder')),
  'encoder_of_a_run': (
    ('train', '--workdir={run}', '--encoder=resnet18'),
    ('--encoder needs --method',),
  ),
  'method': ((*TRAIN, '--method=simclrr', '--data=digits'), ("'simclr'",)),
  'encoder': ((*DIGITS, '--encoder=resnet19'), ("'resnet19'", "'resnet18'")),
  'no_captions': (
    (*TRAIN, '--method=clip', '--encoder=vit_ti4', '--data=digits'),
    ('has no captions', 'image-text pairs'),
  ),
  'cannot_start_from_an_encoder': (
    (
      *TRAIN,
      '--method=dvae',
      '--data=digits',
      '--config.train.init_encoder={run}/export',
    ),
    ("'dvae' cannot start from a trained encoder", 'leave'),
  ),
  'another_encoder_to_start_from': (
    (*DIGITS, '--config.train.init_encoder={run}', '--encoder=resnet18'),
    ('the weights are of another encoder', 'encoder section'),
  ),
  'config_and_method': (
    (*DIGITS, '--config=good.py'),
    ('either --config or --method',),
  ),
  'config_and_data': (
    (*TRAIN, '--config=good.py', '--data=digits'),
    ('--config.data.name=NAME',),
  ),
  'config_missing': ((*TRAIN, '--config=no.py'), ("'no.py' does not exist",)),
  'config_folder': ((*TRAIN, '--config=empty'), ("'empty' is a folder",)),
  'config_syntax': (
    (*TRAIN, '--config=syntax.py'),
    ("'syntax.py' fails", 'SyntaxError', 'line 1'),
  ),
  'config_exits': ((*TRAIN, '--config=exits.py'), ("'exits.py' fails",)),
  'config_without_get_config': (
    (*TRAIN, '--config=without.py'),
    ('must define get_config()',),
  ),
  'config_of_a_number': (
    (*TRAIN, '--config=number.py'),
    ('must define get_config() -> ConfigDict',),
  ),
  'config_section_is_text': (
    (*TRAIN, '--config=text_section.py'),
    ('config.encoder', "'resnet18'"),
  ),
  'config_incomplete': (
    (*TRAIN, '--config=incomplete.py'),
    ('config.encoder.name is missing',),
  ),
  'config_type_in_file': (
    (*TRAIN, '--config=good.py', '--config.train.log_steps=often'),
    ('config.train.log_steps takes an integer', "'often'"),
  ),
  'section_in_file': (
    (*TRAIN, '--config=bad_section.py'),
    ("config section 'trian'", "'train'"),
  ),
  'key_in_file': ((*TRAIN, '--config=bad_key.py'), ("'stepz'", "'steps'")),
  'key': ((*DIGITS, '--config.train.stepz=3'), ("'train.steps'",)),
  'section': ((*DIGITS, '--config.trian.steps=3'), ("'train.steps'",)),
  'section_given_a_value': (
    (*DIGITS, '--config.train=3'),
    ('config.train is a section', '--config.train.'),
  ),
  'override_without_value': (
    (*DIGITS, '--config.train.steps', '3'),
    ("'--config.train.steps'", '--config.train.steps=100'),
  ),
  'type': (
    (*DIGITS, '--config.train.batch_size=many'),
    ('config.train.batch_size takes an integer', "'many'"),
  ),
  'parts_of_a_batch_with_batch_norm': (
    (*DIGITS, '--config.train.micro_batches=2'),
    ('train.micro_batches needs an encoder without BatchNorm', 'transformer'),
  ),
  'type_of_optional': (
    (*DIGITS, '--config.train.steps=many'),
    ('config.train.steps', "'many'", 'int'),
  ),
  'fraction_of_a_step': (
    (*DIGITS, '--config.train.steps=1.5'),
    ('config.train.steps', '1.5', 'int'),
  ),
  'head': ((*DIGITS, '--config.head.name=simclrr'), ("'simclr'",)),
  'augment': ((*DIGITS, '--config.augment.name=simclrr'), ("'simclr_cifar'",)),
  'optimizer': ((*DIGITS, '--config.optim.name=adam'), ("'adamw'",)),
  'schedule': (
    (*DIGITS, '--config.optim.learning_rate.name=cosin'),
    ("schedule 'cosin'", "'cosine'"),
  ),
  'scaling': (
    (*DIGITS, '--config.optim.lr_scaling=lin'),
    ("'lin'", "'linear'"),
  ),
  'mode': ((*DIGITS, '--config.train.mode=xmap'), ("'xmap'", "'pmap'")),
  'crop': ((*DIGITS, '--config.input.crop=cpu'), ('device', 'host')),
  'split': ((*DIGITS, '--config.data.split=val'), ("'val'", 'test, train')),
  'source': ((*SIMCLR, '--data=photoz'), ("data source 'photoz'", "'photos'")),
  'folder_missing': ((*SIMCLR, '--data=./photoz'), ('./photoz', 'folder')),
  'folder_empty': ((*SIMCLR, '--data=empty'), ('no pictures', '.png')),
  'folder_unreadable': (
    (*SIMCLR, '--data=unreadable'),
    ('none of the first 2 pictures can be read',),
  ),
  'tfds_not_prepared': (
    (*SIMCLR, '--data=cifar10', '--config.data.data_dir=empty'),
    ('not prepared', 'tfds build cifar10'),
  ),
  'batch_over_devices': (
    (*DIGITS, '--config.train.batch_size=100'),
    ('batch of 100', '8 devices', '96 or 104'),
  ),
  'devices_too_many': (
    (*DIGITS, '--config.train.num_devices=99'),
    ('num_devices is 99', '8 cpu device'),
  ),
  'devices_zero': (
    (*DIGITS, '--config.train.num_devices=0'),
    ('config.train.num_devices is 0', 'positive'),
  ),
  'batch_zero': (
    (*DIGITS, '--config.train.batch_size=0'),
    ('config.train.batch_size is 0', 'positive'),
  ),
  'steps_zero': (
    (*DIGITS, '--config.train.steps=0'),
    ('config.train.steps is 0', 'positive'),
  ),
  'steps_negative': (
    (*DIGITS, '--config.train.steps=-5'),
    ('config.train.steps is -5', 'positive'),
  ),
  'epochs_infinite': (
    (*DIGITS, '--config.train.epochs=1e999'),
    ('config.train.epochs is inf',),
  ),
  'patch_does_not_divide': (
    (*DIGITS, '--encoder=vit_ti8', '--config.encoder.patch_size=5'),
    ('32x32 pixels', 'patches of 5'),
  ),
  'digits_size': (
    (*DIGITS, '--config.data.size=30'),
    ('size 30', 'multiple of 8'),
  ),
  'crop_scale': (
    (*DIGITS, '--config.augment.scale=(0.5,2)'),
    ('scale', '(0.5, 2'),
  ),
  'workdir_is_a_file': (
    ('train', '--workdir=good.py', '--method=simclr', '--data=digits'),
    ("cannot write to workdir 'good.py'",),
  ),
  'workdir_of_another_config': (
    ('train', '--workdir={run}', '--config.train.log_steps=7'),
    ('train.log_steps: 1 -> 7', 'new workdir'),
  ),
  'protocol': (('eval', 'knnn', '--workdir={run}'), ("'knnn'", "'knn'")),
  'no_protocol': (('eval', '--workdir={run}'), ('protocol', 'eval --help')),
  'no_run': (('eval', 'knn', '--workdir=empty'), ("'empty'", 'jaxssl train')),
  'no_step': ((*EVAL, '--step=3'), ('step 3', '[2, 4]')),
  'step_not_a_number': ((*EVAL, '--step=last'), ("'last'", 'eval --help')),
  'config_of_a_file': (
    ('config', '--file=quickstart', '--encoder=vit_s16'),
    ('--file holds the encoder', 'instead of --encoder'),
  ),
  'layer': ((*EVAL, '--layer=block9'), ("layer 'block9'", "'block00'")),
  'limit': ((*EVAL, '--limit=0'), ('--limit is 0', 'at least 1')),
  'unlabelled': (
    (*EVAL, '--data=unlabelled'),
    ('unlabelled has no labels', 'subfolder'),
  ),
  'same_split': (
    (*EVAL, '--test_split=train'),
    ("both 'train'", '--test_split'),
  ),
  'test_split': ((*EVAL, '--test_split=val'), ("'val'", 'test')),
  'data_dir': ((*EVAL, '--data=digits', '--data_dir=empty'), ('TFDS',)),
  'setting': ((*EVAL, '--kss=3'), ("'--kss=3'", "'--ks'")),
  'setting_of_its_own': ((*EVAL, '--k=3'), ('takes no --k;', "'--ks'")),
  'setting_type': ((*EVAL, '--temperature=hot'), ('a number', "'hot'")),
  'setting_in_tuple': ((*EVAL, '--ks=many'), ("'many'",)),
  'setting_without_value': ((*EVAL, '--ks'), ('--ks', 'expected')),
  'setting_of_another': ((*EVAL, '--epochs=3'), ('--epochs', 'linear')),
  'setting_not_finite': (
    (*EVAL, '--temperature=nan'),
    ('--temperature', "'nan'"),
  ),
  'setting_as_config': (
    (*EVAL, '--config.eval.k=3'),
    ('--config.data.KEY=VALUE', 'config.eval.k'),
  ),
  'embed_suffix': (
    ('embed', '--workdir={run}', '--out=new.npy'),
    ('.npz', "'new.npy'"),
  ),
  'embed_over_a_file': (
    ('embed', '--workdir={run}', '--out=taken.npz'),
    ("'taken.npz' exists",),
  ),
  'embed_below_a_file': (
    ('embed', '--workdir={run}', '--out=good.py/new.npz'),
    ('cannot write', 'good.py/new.npz'),
  ),
  'embed_split': ((*EMBED, '--split=val'), ("'val'", 'test, train')),
  'plot_split': (
    ('plot', '--workdir={run}', '--split=val'),
    ("'val'", 'test, train'),
  ),
  'export_format': (
    ('export', 'safetenzors', '--workdir={run}', '--out=new'),
    ("'safetensors'",),
  ),
  'export_over_a_folder': (
    ('export', 'timm', '--workdir={run}', '--out=unreadable'),
    ("'unreadable' exists", 'nothing is overwritten'),
  ),
  'export_over_a_file': (
    ('export', 'timm', '--workdir={run}', '--out=good.py'),
    ("'good.py' exists",),
  ),
  'export_step': ((*EXPORT, '--step=3'), ('step 3', '[2, 4]')),
  'import_format': (
    ('import', 'timn', 'x', '--encoder=resnet18', '--workdir=new'),
    ("'timn'", "'timm'"),
  ),
  'data_twice': (
    ('train', '--method=simclr', '--data=digits', '--data=photos'),
    ('--data is given twice; name all behind one',),
  ),
  'doctor_two_data': (
    ('doctor', 'digits', '--data=photos'),
    ('give one of DATA, --config FILE and --workdir DIR',),
  ),
  'doctor_json_ending': (
    ('doctor', 'digits', '--json=figures.txt'),
    ('--json must end in .json',),
  ),
  'import_tokenizer_alone': (
    ('import', 'huggingface', 'x', '--tokenizer=t.json', '--workdir=new'),
    ('--tokenizer is that of a text tower; give --text_encoder too',),
  ),
  'import_texts_alone': (
    ('import', 'huggingface', 'x', '--text_encoder=clip_512', '--workdir=new'),
    ('with --text_encoder give --encoder too',),
  ),
  'import_missing': (
    ('import', 'timm', 'no.safetensors', '--encoder=vit_s16', '--workdir=new'),
    ("'no.safetensors' does not exist",),
  ),
  'import_corrupt': (
    ('import', 'timm', 'good.py', '--encoder=vit_s16', '--workdir=new'),
    ('good.py', 'not a valid safetensors file'),
  ),
  'import_pickle': (
    ('import', 'timm', 'model.bin', '--encoder=vit_s16', '--workdir=new'),
    ('pickle', '.safetensors'),
  ),
  'import_encoder': ((*IMPORT, '--encoder=vitt_s16'), ("'vit_s16'",)),
  'import_other_architecture': (
    (*IMPORT, '--encoder=resnet18'),
    ('another architecture', 'bn1.running_mean is missing', 'more'),
  ),
  'import_option': (
    (*IMPORT, '--encoder=resnet18', '--config.encoder.stemm=cifar'),
    ("'encoder.stem'",),
  ),
  'import_into_a_run': (
    ('import', 'timm', '{weights}', '--encoder=vit_s16', '--workdir={run}'),
    ('not an empty folder',),
  ),
  'import_image_size': (
    (*IMPORT, '--encoder=vit_s16', '--image_size=0'),
    ('--image_size is 0',),
  ),
  'inspect_nothing': (('inspect',), ('--config', '--method')),
  'inspect_rows': (
    ('inspect', '--workdir={run}', '--rows=0'),
    ('--rows is 0', 'at least 1'),
  ),
  'inspect_suffix': (
    ('inspect', '--workdir={run}', '--out=new.gif'),
    ('.png', "'new.gif'"),
  ),
}

SECTIONS = {
  'method': {'name': 'simclr'},
  'encoder': {'name': 'vit_ti8'},
  'augment': {'name': 'simclr_cifar'},
  'data': {'name': 'digits'},
  'optim': {'name': 'adamw', 'learning_rate': 1e-3},
  'train': {'epochs': 1},
}
CONFIG_FILES = {
  'good.py': SECTIONS,
  'number.py': 3,
  'text_section.py': SECTIONS | {'encoder': 'resnet18'},
  'incomplete.py': {'method': {'name': 'simclr'}},
  'bad_section.py': SECTIONS | {'trian': {}},
  'bad_key.py': SECTIONS | {'train': {'stepz': 3}},
}


@pytest.fixture(scope='module')
def places(tmp_path_factory, finished_run, picture_folder) -> dict[str, str]:
  """The files that the cases name, in one folder."""
  here = tmp_path_factory.mktemp('wrong')
  for name, config in CONFIG_FILES.items():
    (here / name).write_text(f'def get_config():\n  return {config!r}\n')
  (here / 'syntax.py').write_text('def get_config(:\n')
  (here / 'exits.py').write_text('raise SystemExit(1)\n')
  (here / 'without.py').write_text('config = 1\n')
  (here / 'empty').mkdir()
  (here / 'unreadable').mkdir()
  for name in ('a.jpg', 'b.png'):
    (here / 'unreadable' / name).write_text('no picture')
  for split in ('train', 'test'):
    shutil.copytree(picture_folder, here / 'unlabelled' / split)
  (here / 'taken.npz').write_bytes(b'kept')
  (here / 'model.bin').write_bytes(pickle.dumps({'weight': 1}))
  safetensors_file.write(
    here / 'weights.safetensors', {'norm.weight': np.zeros(3, np.float32)}
  )
  return {
    'here': str(here),
    'run': str(finished_run),
    'pictures': str(picture_folder),
    'weights': str(here / 'weights.safetensors'),
  }


def _message(capsys) -> str:
  """The one line on standard error."""
  lines = capsys.readouterr().err.splitlines()
  assert len(lines) == 1, lines
  assert lines[0].startswith('jaxssl: ')
  assert len(lines[0]) < 500
  return lines[0]


@pytest.mark.parametrize('name', CASES)
def test_one_line_that_helps_and_nothing_changes(
  name, places, monkeypatch, capsys
):
  arguments, expected = CASES[name]
  monkeypatch.chdir(places['here'])
  folders = [pathlib.Path(places[key]) for key in ('here', 'run', 'pictures')]
  before = [runs.files(folder) for folder in folders]
  capsys.readouterr()
  assert runs.jaxssl(*(a.format(**places) for a in arguments)) == 2
  message = _message(capsys)
  for part in expected:
    assert part in message
  assert [runs.files(folder) for folder in folders] == before


def test_names_are_checked_before_data_is_read(in_tmp, monkeypatch, capsys):
  def read(*args, **kwargs):
    raise AssertionError('data was read')

  monkeypatch.setattr('jaxssl.data.make_source', read)
  assert runs.train(in_tmp / 'new', '--config.train.stepz=3') == 2
  _message(capsys)


def test_workdir_in_use(in_tmp, capsys):
  from jaxssl.train.workdir import Workdir

  config = {'data': {'name': 'digits'}}
  other = Workdir(in_tmp / 'run')
  other.claim(config)
  try:
    assert runs.train(in_tmp / 'run') == 2
  finally:
    other.release()
  assert 'another process' in _message(capsys)


@pytest.mark.parametrize('text', ['{"train": ', '[]', '{}', '\x00\xff'])
def test_damaged_config_of_a_run(text, in_tmp, capsys):
  (in_tmp / 'run').mkdir()
  (in_tmp / 'run' / 'config.json').write_text(text)
  assert runs.train(in_tmp / 'run') == 2
  message = _message(capsys)
  assert 'config.json' in message
  assert 'damaged' in message


def test_damaged_metrics_are_no_obstacle(finished_run, in_tmp):
  run = in_tmp / 'run'
  shutil.copytree(finished_run, run)
  with (run / 'metrics.jsonl').open('ab') as file:
    file.write(b'3\n{"loss": 1}\n\xff\xfe\n{"step": 4, "lo')
  assert runs.train(run) == 0
  assert [record['step'] for record in runs.metrics(run)] == [1, 2, 3, 4]


def test_damaged_export(finished_run, in_tmp, capsys):
  run = in_tmp / 'run'
  shutil.copytree(finished_run, run)
  weights = run / 'export' / 'encoder.safetensors'
  weights.write_bytes(weights.read_bytes()[:-4])
  capsys.readouterr()
  assert runs.jaxssl('eval', 'knn', f'--workdir={run}') == 2
  assert 'not a valid safetensors file' in _message(capsys)


def test_weights_of_another_architecture_in_a_run(finished_run, in_tmp, capsys):
  run = in_tmp / 'run'
  shutil.copytree(finished_run, run)
  info = run / 'export' / 'encoder.json'
  content = json.loads(info.read_text())
  content['section']['dim'] = 32
  info.write_text(json.dumps(content))
  capsys.readouterr()
  assert runs.jaxssl('eval', 'knn', f'--workdir={run}') == 2
  message = _message(capsys)
  assert 'not of encoder' in message
  assert '(16,) instead of (32,)' in message


def test_a_run_that_lost_its_checkpoints_never_starts_over(
  finished_run, in_tmp, capsys
):
  run = in_tmp / 'run'
  shutil.copytree(finished_run, run)
  for path in (run / 'checkpoints').rglob('*'):
    if path.is_file():
      path.write_bytes(b'')
  for _ in range(2):
    assert runs.train(run) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert 'none of the checkpoints' in line
  assert len(runs.metrics(run)) == 4


def test_data_that_changed_since_the_checkpoint(picture_folder, in_tmp, capsys):
  shutil.copytree(picture_folder, in_tmp / 'pictures')
  more = (
    '--data=pictures',
    '--config.train.steps=1',
    '--config.input.image_size=32',
    '--config.augment.size=32',
  )
  assert runs.train(in_tmp / 'run', *more) == 0
  (in_tmp / 'pictures' / '00.png').unlink()
  capsys.readouterr()
  assert runs.train(in_tmp / 'run', *more) == 2
  assert 'has changed' in capsys.readouterr().err.splitlines()[-1]


def test_no_device(in_tmp, monkeypatch, capsys):
  def no_devices():
    raise RuntimeError("Unable to initialize backend 'cuda'")

  monkeypatch.setattr('jax.devices', no_devices)
  assert runs.train(in_tmp / 'new') == 2
  message = _message(capsys)
  assert 'JAX_PLATFORMS' in message


def test_disk_error_anywhere_is_one_line(in_tmp, monkeypatch, capsys):
  def full(*args, **kwargs):
    raise OSError(28, 'No space left on device', 'somewhere')

  monkeypatch.setattr('jaxssl.arguments.configs.resolve', full)
  assert runs.train(in_tmp / 'new') == 2
  assert 'No space left on device' in _message(capsys)


def test_no_argument_shows_the_commands(capsys):
  assert runs.jaxssl() == 2
  assert 'usage: jaxssl COMMAND' in capsys.readouterr().out


@pytest.mark.parametrize('option', ['-h', '--help'])
def test_help_has_a_line_for_every_command(option, monkeypatch, capsys):
  monkeypatch.setenv('COLUMNS', '80')
  with pytest.raises(SystemExit) as exit_:
    runs.jaxssl(option)
  assert exit_.value.code == 0
  lines = capsys.readouterr().out.splitlines()
  for name, text in cli.COMMANDS.items():
    assert [name, *text.split()] in [line.split() for line in lines]


def test_version(capsys):
  with pytest.raises(SystemExit) as exit_:
    runs.jaxssl('--version')
  assert exit_.value.code == 0
  assert capsys.readouterr().out == f'jaxssl {jaxssl.__version__}\n'


@pytest.mark.parametrize('argument', ['trian', '--stesp=3', '--config.a.b=1'])
def test_the_first_argument_is_a_command(argument, capsys):
  assert runs.jaxssl(argument, '--workdir=new') == 2
  message = capsys.readouterr().err
  assert message.startswith(f"jaxssl: unknown command '{argument}'; ")
  assert message.count('\n') == 1


@pytest.mark.parametrize(
  'command', ['train', 'eval', 'embed', 'plot', 'inspect', 'import', 'export']
)
def test_help(command, capsys):
  with pytest.raises(SystemExit) as exit_:
    runs.jaxssl(command, '--help')
  assert exit_.value.code == 0
  assert f'usage: jaxssl {command}' in capsys.readouterr().out
