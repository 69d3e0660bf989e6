import shlex

import pytest

from jaxssl import cli
from jaxssl.runs.next_commands import next_commands


@pytest.mark.parametrize('has_text', [False, True])
@pytest.mark.parametrize('has_classes', [False, True])
@pytest.mark.parametrize('is_of_timm', [False, True])
def test_commands_can_be_pasted(has_text, has_classes, is_of_timm):
  found = next_commands(
    'my runs/a',
    has_text=has_text,
    has_classes=has_classes,
    is_of_timm=is_of_timm,
  )
  assert len(found) == 3
  for command in found:
    program, name, *rest = shlex.split(command)
    assert program == 'jaxssl'
    assert name in cli.COMMANDS
    assert rest[rest.index('--workdir') + 1] == 'my runs/a'
  assert ('search' in found[0]) == has_text
  assert ('timm' in found[2]) == is_of_timm
