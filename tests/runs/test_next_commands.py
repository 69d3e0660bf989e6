import shlex

import pytest

from jaxssl import cli
from jaxssl.runs.next_commands import next_commands


@pytest.mark.parametrize('sentence', [None, "--it's\n\x1b[1m a cat" * 9])
@pytest.mark.parametrize('has_classes', [False, True])
@pytest.mark.parametrize('is_of_timm', [False, True])
def test_commands_can_be_pasted(sentence, has_classes, is_of_timm):
  found = next_commands(
    'my runs/a',
    sentence=sentence,
    has_classes=has_classes,
    is_of_timm=is_of_timm,
  )
  assert len(found) == 3
  for command in found:
    program, name, *rest = shlex.split(command)
    assert program == 'jaxssl'
    assert name in cli.COMMANDS
    assert rest[rest.index('--workdir') + 1] == 'my runs/a'
    assert command.isprintable()
  if sentence:
    assert found[0] == "jaxssl eval retrieval --workdir 'my runs/a'"
    _, name, words, *_ = shlex.split(found[1])
    assert name == 'search'
    assert words.startswith("it's ")
  else:
    assert found[1] == "jaxssl report --workdir 'my runs/a'"
  assert ('timm' in found[2]) == is_of_timm
