"""From captions to a tokenizer, a run, zero-shot classification, retrieval."""

import json
import shutil

import chex
import numpy as np
from PIL import Image
import pytest

from jaxssl.data import make_source
from jaxssl.weights import exported
from tests.commands import runs
from tests.commands.harmed_export import with_one_nan
from tests.data import pairs

MODEL = (
  '--method=clip',
  '--encoder=vit_ti8',
  '--config.encoder.dim=16',
  '--config.encoder.depth=1',
  '--config.encoder.num_heads=2',
  '--config.text_encoder.dim=16',
  '--config.text_encoder.depth=1',
  '--config.text_encoder.num_heads=2',
  '--config.head.out_dim=8',
  '--config.text.length=16',
  '--data=photos',
  '--config.data.crops_per_picture=2',
)


@pytest.fixture(scope='module')
def tokenizer(tmp_path_factory):
  out = tmp_path_factory.mktemp('tokenizer') / 'captions.json'
  arguments = ('--vocab_size=300', '--config.data.crops_per_picture=1')
  assert (
    runs.jaxssl(
      'tokenizer', 'train', '--data=photos', f'--out={out}', *arguments
    )
    == 0
  )
  return out


@pytest.fixture(scope='module')
def run(tokenizer, tmp_path_factory):
  folder = tmp_path_factory.mktemp('clip')
  copy = folder / 'tokenizer.json'
  shutil.copy(tokenizer, copy)
  arguments = ['train', f'--workdir={folder / "run"}', *MODEL, *runs.LENGTH]
  assert runs.jaxssl(*arguments, f'--config.text.tokenizer={copy}') == 0
  # A workdir has all that evaluation needs.
  copy.unlink()
  return folder / 'run'


@pytest.fixture(scope='module')
def tar(tmp_path_factory):
  members = [m for number in range(8) for m in pairs.record(number)]
  return pairs.write_tar(tmp_path_factory.mktemp('tar') / 'eight.tar', members)


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))


def _result(run, name):
  return json.loads((run / 'results' / f'{name}.json').read_text())


def test_text_encoder_has_the_sizes_of_the_tokenizer(run, tokenizer):
  vocabulary = json.loads(tokenizer.read_text())['model']['vocab']
  assert len(vocabulary) == 298  # besides, start and end
  assert json.loads((run / 'tokenizer.json').read_text())['added_tokens']
  losses = [line['loss'] for line in runs.metrics(run)]
  assert len(losses) == 4


def test_several_captions_of_a_picture_train_and_go_on(tmp_path):
  run, again = tmp_path / 'run', tmp_path / 'again'
  captions = (
    '--config.input.captions=3',
    # Warm, so that the logits of random features are small.
    '--config.method.temperature=1',
  )
  assert (
    runs.jaxssl('train', f'--workdir={run}', *MODEL, *runs.LENGTH, *captions)
    == 0
  )
  # 16 pictures, each of whose three texts is right.
  expected = (np.log(16) + np.log(48)) / 2
  first = runs.metrics(run)[0]['loss']
  np.testing.assert_allclose(first, expected, rtol=0.02)
  shutil.copytree(run, again)
  shutil.rmtree(again / 'export')
  # As if stopped after the second step.
  shutil.rmtree(again / 'checkpoints' / '4')
  assert runs.jaxssl('train', f'--workdir={again}') == 0
  chex.assert_trees_all_equal(
    *(exported.load_encoder(f / 'export').towers for f in (run, again))
  )
  assert runs.jaxssl('eval', 'zeroshot', f'--workdir={run}', '--limit=32') == 0
  # Another number would be another run.
  other = (
    f'--workdir={run}',
    *MODEL,
    *runs.LENGTH,
    '--config.input.captions=2',
  )
  assert runs.jaxssl('train', *other) == 2


def test_siglip2_is_a_run_like_those_of_siglip(tmp_path, capsys):
  run = tmp_path / 'run'
  arguments = (
    *MODEL[1:],
    '--method=siglip2',
    '--config.method.num_prototypes=16',
    '--config.method.hidden_dim=16',
    '--config.method.self_weight.at=0.5',
    '--config.augment.num_local=1',
    '--config.train.log_steps=1',
  )
  assert runs.jaxssl('train', f'--workdir={run}', *arguments, *runs.LENGTH) == 0
  patch_losses = [line['patch_loss'] for line in runs.metrics(run)]
  assert patch_losses[:2] == [0.0, 0.0]
  assert min(patch_losses[2:]) > 1
  towers = {'text', 'image_head', 'logits'}
  assert exported.load_encoder(run / 'export').towers.keys() == towers
  # A schedule is no obstacle to what runs the towers alone.
  assert runs.jaxssl('eval', 'zeroshot', f'--workdir={run}', '--limit=32') == 0
  assert 'trained encoder' in capsys.readouterr().out


def test_a_locked_text_tower_of_another_run_stays(run, tmp_path):
  arguments = (
    *('train', f'--workdir={tmp_path / "locked"}', *MODEL, *runs.LENGTH),
    f'--config.text.tokenizer={run / "tokenizer.json"}',
    f'--config.train.init_text_encoder={run / "export"}',
    "--config.optim.rules=({'match': '^text/', 'freeze_steps': -1},)",
  )
  assert runs.jaxssl(*arguments) == 0
  old, new = (
    (folder / 'export' / 'text.safetensors').read_bytes()
    for folder in (run, tmp_path / 'locked')
  )
  assert new == old


def test_zeroshot_says_what_templates_gain(run, capsys):
  arguments = (f'--workdir={run}', '--templates=several', '--limit=38')
  assert runs.jaxssl('eval', 'zeroshot', *arguments) == 0
  result = _result(run, 'zeroshot-v2-photos')
  assert len(result['settings']['templates']) == 8
  metrics = result['metrics']
  assert (metrics['num_classes'], metrics['num_test']) == (19, 38)
  gain = metrics['top1'] - metrics['top1_names']
  assert metrics['template_gain'] == pytest.approx(gain)
  assert 'template_gain' in capsys.readouterr().out
  # Texts of templates and bare names, kept for the next time.
  assert len(list((run / 'features').glob('texts-*.npz'))) == 2


def test_some_of_the_classes_with_the_names_of_all(run, tmp_path):
  """Labels that are numbers of the list say the same as folders with names."""
  source = make_source('photos', split='test')
  names = source.class_names
  (tmp_path / 'names.txt').write_text('\n'.join(names))
  kept = np.arange(0, source.num_examples, 16)
  rows = source.fetch(kept)
  lines = ['image,caption,label']
  for i, (pixels, label) in enumerate(
    zip(rows.content, rows.label, strict=True)
  ):
    if label % 2:
      continue
    file = tmp_path / 'folder' / names[label] / f'{i}.png'
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(file)
    lines.append(f'{file},{names[label]},{label}')
  (tmp_path / 'table.csv').write_text('\n'.join(lines))
  found = {}
  for data, more in (
    ('folder', ('--split=all',)),
    ('table.csv', ('--config.data.label=label', '--split=all')),
  ):
    arguments = (
      *('eval', 'zeroshot', f'--workdir={run}', f'--data={tmp_path / data}'),
      f'--classes={tmp_path / "names.txt"}',
    )
    assert runs.jaxssl(*arguments, *more) == 0
    found[data] = _result(run, f'zeroshot-v2-{data}')['metrics']
  assert found['folder'] == found['table.csv']
  assert found['folder']['num_classes'] == 19


@pytest.fixture(scope='module')
def tuned(run):
  """Begins where zero-shot ends; without a learning rate it stays there."""
  assert runs.jaxssl('eval', 'zeroshot', f'--workdir={run}') == 0
  still = ('--learning_rate=0.0', '--end_learning_rate=0.0')
  moving = ('--learning_rate=0.1',)
  results = []
  for rate in (still, moving):
    arguments = (f'--workdir={run}', '--templates=photo', '--batch_size=8')
    assert runs.jaxssl('eval', 'finetune', *arguments, *rate) == 0
    results.append(_result(run, 'finetune-v3-photos'))
  return results


def test_finetuning_starts_from_the_classifier_of_the_texts(run, tuned):
  still, _ = tuned
  assert still['settings']['templates'] == ['a photo of a {}']
  zeroshot = _result(run, 'zeroshot-v2-photos')
  assert still['metrics']['top1'] == zeroshot['metrics']['top1']


def test_weights_between_zero_shot_and_fine_tuned(run, tuned, capsys):
  _, moving = tuned
  arguments = (f'--workdir={run}', '--shifted=other=photos:train')
  assert runs.jaxssl('eval', 'wise_ft', *arguments) == 2
  assert 'one of several' in capsys.readouterr().err
  folder = max((run / 'finetune').iterdir(), key=lambda p: p.stat().st_mtime)
  more = (f'--finetuned={folder.name}', '--alphas', '0', '0.5', '1')
  assert runs.jaxssl('eval', 'wise_ft', *arguments, *more) == 0
  metrics = _result(run, 'wise_ft-v1-photos')['metrics']
  zeroshot = _result(run, 'zeroshot-v2-photos')
  assert metrics['reference_0'] == zeroshot['metrics']['top1']
  assert metrics['reference_1'] == moving['metrics']['top1']
  assert metrics['top1'] == metrics['shifted_0.5'] == metrics['other_0.5']
  assert (run / 'pictures' / 'wise_ft-v1-photos.png').exists()


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    (('knn', '--templates=photo'), 'it is for zeroshot, finetune'),
    (('finetune', '--classes=a.txt'), '--classes needs --templates'),
    (('finetune', '--templates=photo', '--baselines'), 'only one'),
    (('finetune', '--templates=photo', '--pool=avg'), "pool='same'"),
    (('wise_ft',), 'wise_ft needs --shifted'),
    (('wise_ft', '--shifted=a=photos', '--finetuned=b'), 'no finished'),
  ],
)
def test_what_cannot_start_from_texts(arguments, message, run, capsys):
  assert runs.jaxssl('eval', *arguments, f'--workdir={run}') == 2
  assert message in capsys.readouterr().err


def test_corruptions_are_classified_by_text(run):
  arguments = (f'--workdir={run}', '--limit=38', '--severities', '3')
  code = runs.jaxssl('eval', 'corruptions', *arguments, '--kinds', 'contrast')
  assert code == 0
  result = _result(run, 'corruptions-v2-photos')
  assert result['settings']['classifier']['name'] == 'zeroshot-v2'
  assert result['metrics']['num_test'] == 38


def test_both_protocols_on_a_file_of_pairs(run, tar, tmp_path, capsys):
  classes = tmp_path / 'names.txt'
  classes.write_text('an even number\nan odd number\n')
  both = ('eval', 'zeroshot', 'retrieval', f'--workdir={run}')
  # Without labels there is nothing to classify, but everything to find.
  assert runs.jaxssl(*both, f'--data={tar}') == 2
  *_, line = capsys.readouterr().err.splitlines()
  assert line.startswith('zeroshot was not run: ')
  metrics = _result(run, 'retrieval-v2-eight.tar')['metrics']
  assert (metrics['num_images'], metrics['num_texts']) == (8, 8)
  assert metrics['image_to_text_r1'] <= metrics['image_to_text_r5'] <= 1
  labelled = (f'--data={tar}', '--config.data.label=json.group')
  assert runs.jaxssl(*both, *labelled, f'--classes={classes}') == 0
  settings = _result(run, 'zeroshot-v2-eight.tar')['settings']
  assert settings['classes'] == str(classes)


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    (('zeroshot', '--data=digits', '--classes=/no/file'), 'gives no class'),
    (('zeroshot', '--templates=photoz'), 'gives no templates'),
    (('zeroshot', 'knn'), 'run zeroshot apart'),
    (('retrieval', '--data=digits'), 'no captions'),
    (('retrieval', '--templates=photo'), 'takes no --templates'),
    (('zeroshot', '--layer=block00'), 'takes no --layer'),
    (('zeroshot', '--split=val'), 'unknown split'),
    (('zeroshot', '--config.seed=1'), 'not --config.seed'),
  ],
)
def test_mistakes_are_told_in_one_line(arguments, message, run, capsys):
  assert runs.jaxssl('eval', *arguments, f'--workdir={run}') == 2
  error = capsys.readouterr().err.strip()
  assert message in error
  assert '\n' not in error


def test_search_finds_what_is_most_similar(run, tmp_path, capsys):
  out = tmp_path / 'found.png'
  arguments = (f'--workdir={run}', '--num_images=3', '--limit=19')
  assert runs.jaxssl('search', 'a cat', *arguments, f'--out={out}') == 0
  lines = capsys.readouterr().out.splitlines()
  scores = [float(line.split()[0]) for line in lines]
  assert len(scores) == 3
  assert scores == sorted(scores, reverse=True)
  assert 'photos/test[' in lines[0]
  with Image.open(out) as picture:
    assert picture.width > 2 * picture.height


@pytest.mark.parametrize(
  'command',
  [
    ('eval', 'zeroshot', 'retrieval'),
    ('eval', 'corruptions'),
    ('eval', 'finetune', '--templates=photo'),
    ('search', 'a cat'),
  ],
  ids=' '.join,
)
def test_weights_that_are_not_finite_find_nothing(
  command, run, tmp_path, capsys
):
  workdir = shutil.copytree(run, tmp_path / 'run')
  with_one_nan(workdir / 'export')
  words = [word.replace('OUT', str(tmp_path / 'out')) for word in command]
  assert runs.jaxssl(*words, f'--workdir={workdir}') == 2
  assert 'weights are not finite' in capsys.readouterr().err
  assert not (tmp_path / 'out').exists()


def test_a_run_without_text_is_told(run, tmp_path, capsys):
  config = json.loads((run / 'config.json').read_text())
  config |= {'method': {'name': 'simclr'}, 'text': {}, 'text_encoder': {}}
  (tmp_path / 'config.json').write_text(json.dumps(config))
  assert runs.jaxssl('eval', 'zeroshot', f'--workdir={tmp_path}') == 2
  assert 'knows no text' in capsys.readouterr().err


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    (('train', '--data=digits', '--out=a.json'), 'has no captions'),
    (('train', '--data=photos', '--out=a.txt'), 'must end in .json'),
    (('trian', '--data=photos', '--out=a.json'), "did you mean 'train'"),
    (('train', '--data=no.txt', '--out=a.json'), 'cannot read'),
    (
      ('train', '--data=photos', '--out=a.json', '--clean=clop'),
      "did you mean 'clip'",
    ),
    (
      ('train', '--data=photos', '--out=a.json', '--vocab_size=9'),
      '259 or more',
    ),
    (
      ('train', '--data=photos', '--out=a.json', '--config.seed=1'),
      'not --config.seed',
    ),
  ],
)
def test_mistakes_with_tokenizers_are_told(arguments, message, in_tmp, capsys):
  assert runs.jaxssl('tokenizer', *arguments) == 2
  error = capsys.readouterr().err.strip()
  assert message in error
  assert '\n' not in error
  assert not list(in_tmp.iterdir())


def test_a_text_file_is_a_data_set_of_captions(in_tmp):
  (in_tmp / 'captions.txt').write_text('a cat\nA CAT\na cat\n')
  arguments = ('--data=captions.txt', '--vocab_size=270', '--out=t.json')
  assert runs.jaxssl('tokenizer', 'train', *arguments) == 0
  vocabulary = json.loads((in_tmp / 't.json').read_text())['model']['vocab']
  assert 'Ġcat' in vocabulary
  assert runs.jaxssl('tokenizer', 'train', *arguments) == 2


@pytest.mark.parametrize('kind', ['tar', 'tfrecord', 'csv'])
def test_a_run_on_pairs_is_evaluated_on_what_it_held_out(
  kind, tokenizer, tmp_path
):
  section = pairs.section(kind, tmp_path)
  path = section.get('path') or section['name']
  workdir, given = tmp_path / 'run', MODEL[:-2]
  arguments = (f'--data={path}', f'--config.text.tokenizer={tokenizer}')
  if kind == 'tar':
    arguments += ('--config.data.label=json.group',)
  train = ('train', f'--workdir={workdir}', *given, *runs.LENGTH, *arguments)
  assert runs.jaxssl(*train, '--test_fraction=0.3') == 0
  first = (workdir / 'train.log').read_text().splitlines()[0]
  held = 3  # of the tar file 2 of 5 and 1 of 4
  assert f'{9 - held} images and {held} held out for test' in first
  where = f'--workdir={workdir}'
  for more in ((), (f'--data={path}',)):
    assert runs.jaxssl('eval', 'retrieval', where, *more) == 0
    (result,) = (workdir / 'results').glob('retrieval*.json')
    records = json.loads(result.read_text())['records']
    assert (records['test']['split'], records['test']['images']) == (
      'test',
      held,
    )
    assert records['trained_on'] == 0
  if kind == 'tar':
    for protocol in ('zeroshot', 'knn'):
      assert runs.jaxssl('eval', protocol, where) == 0
