import argparse

import pytest

from jaxssl import cli
from jaxssl.arguments import place
from jaxssl.errors import UserError

COMMANDS = ('embed', 'plot', 'visualize', 'report', 'watch')


def _folder(command, *arguments):
  parser = argparse.ArgumentParser(exit_on_error=False)
  cli.module(command).add_arguments(parser)
  return place.of(parser.parse_args(arguments))


@pytest.mark.parametrize('command', COMMANDS)
def test_a_workdir_is_given_with_or_without_its_name(command):
  more = ('--out=a.npz',) if command == 'embed' else ()
  assert _folder(command, 'a', *more) == 'a'
  assert _folder(command, '--workdir', 'a', *more) == 'a'
  assert _folder(command, *more, '--workdir=a', 'a') == 'a'
  with pytest.raises(UserError, match='give the folder of the run'):
    _folder(command, *more)


@pytest.mark.parametrize('arguments', [('a', '--workdir=b'), ('a', 'b')])
def test_two_workdirs_are_refused(arguments, capsys):
  assert cli.main(['plot', *arguments]) == 2
  (line,) = capsys.readouterr().err.splitlines()
  assert 'two folders' in line or 'b' in line
