import json

import pytest

from tests.commands import runs

DATA = ('--data=digits', '--seconds=0.01')
MODEL = tuple(a for a in (*runs.MODEL, *runs.LENGTH))


def test_both_sides_and_the_loop(in_tmp, capsys):
  assert runs.jaxssl('bench', 'both', *MODEL, *DATA, '--out=a.json') == 0
  found = json.loads((in_tmp / 'a.json').read_text())
  assert found['setting']['batch_size'] == 16
  assert found['setting']['stored'] is None
  assert found['bottleneck'] in ('input', 'step', 'both', 'processor')
  for name in ('input', 'loop'):
    assert found[name]['images_per_second'] > 0
  assert found['step']['rate']['steps'] >= 2
  out = capsys.readouterr().out
  assert 'the input makes' in out
  for number, change in enumerate(found['advice'], 1):
    assert f'{number}. {change}' in out
  assert [path.name for path in in_tmp.iterdir()] == ['a.json']


def test_one_side(picture_folder, in_tmp, capsys):
  arguments = (
    *MODEL,
    f'--data={picture_folder}',
    '--config.augment.size=16',
    '--config.input.image_size=16',
    '--seconds=0.01',
    '--out=a.json',
  )
  assert runs.jaxssl('bench', 'input', *arguments) == 0
  found = json.loads((in_tmp / 'a.json').read_text())
  assert found['step'] is found['loop'] is found['bottleneck'] is None
  assert found['setting']['stored'] == [36.0, 40.0]
  assert found['setting']['crop'] == 'host'
  assert 'bench both' in capsys.readouterr().out


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    ([], 'what'),
    (['all'], 'invalid choice'),
    (['input'], 'give --config FILE'),
    (['input', *MODEL, '--data=digitz'], "did you mean 'digits'"),
    (['input', *MODEL, '--data=digits', '--seconds=0'], '--seconds is 0'),
    (['input', *MODEL, '--data=digits', '--out=a.txt'], 'must end in .json'),
    (['step', *MODEL, '--data=digits', '--config.train.batch=3'], 'batch_size'),
  ],
)
def test_wrong_arguments(arguments, message, in_tmp, capsys):
  assert runs.jaxssl('bench', *arguments) == 2
  assert message in capsys.readouterr().err
  assert not list(in_tmp.iterdir())
