import os
import pty
import shutil
import subprocess
import time

import pytest

from jaxssl.commands import completion
from jaxssl.config import shipped
from jaxssl.evals.protocols import PROTOCOLS
from jaxssl.methods import METHODS
from jaxssl.models.variants import encoder_names
from tests.commands import runs

# The beginning of a line -> what it is completed to.
LINES = {
  'jaxssl tra': ['train'],
  'jaxssl train --meth': ['--method'],
  'jaxssl train --method simc': ['simclr'],
  'jaxssl train --method ': sorted(METHODS),
  'jaxssl inspect --encoder resnet1': ['resnet101', 'resnet152', 'resnet18'],
  'jaxssl plan --encoder ': sorted(encoder_names()),
  'jaxssl train --config ': sorted(shipped.configs()),
  'jaxssl config --file quick': ['quickstart'],
  'jaxssl eval knn ': sorted(PROTOCOLS),
  'jaxssl bench bo': ['both'],
  'jaxssl export ti': ['timm'],
  'jaxssl train --workdir fold': ['folder'],
}


def _needs(shell):
  return pytest.mark.skipif(
    shutil.which(shell) is None, reason=f'{shell} is not installed'
  )


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
  """A current directory, with the script of each shell."""
  place = tmp_path_factory.mktemp('completion')
  (place / 'folder').mkdir()
  for shell in completion.SHELLS:
    (place / f'_{shell}').write_text(completion.script(shell))
  return place


@_needs('bash')
def test_bash(folder):
  program = [
    'source ./_bash',
    # As bash does it: the function that was told to `complete`.
    'name=$(complete -p jaxssl | sed "s/.*-F \\([^ ]*\\).*/\\1/")',
    'try() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); $name; '
    'echo "${COMPREPLY[@]%/}"; }',
    *(_in_words(line) for line in LINES),
  ]
  found = _run(folder, ['bash', '--norc', '-c', '\n'.join(program)])
  assert found == [sorted(words) for words in LINES.values()]


@_needs('fish')
def test_fish(folder):
  program = ['source ./_fish'] + [
    f"echo (complete -C '{line}' | cut -f1 | string trim -r -c /)"
    for line in LINES
  ]
  command = ['fish', '--no-config', '-c', '\n'.join(program)]
  assert _run(folder, command) == [sorted(words) for words in LINES.values()]


@_needs('zsh')
def test_zsh(folder):
  """Completes in a terminal, as zsh does nowhere else."""
  begin = 'PROMPT=; fpath=($PWD/zsh $fpath); autoload -Uz compinit; compinit -u'
  (folder / 'zsh').mkdir()
  shutil.copy(folder / '_zsh', folder / 'zsh' / '_jaxssl')
  single = {k: words for k, words in LINES.items() if len(words) == 1}
  terminal, inside = pty.openpty()
  # Not `pty.fork`: JAX warns of forks, as its threads stay behind.
  shell = subprocess.Popen(
    ['zsh', '-f', '-i'],
    cwd=folder,
    env=os.environ | {'TERM': 'dumb'},
    stdin=inside,
    stdout=inside,
    stderr=inside,
    start_new_session=True,
  )
  os.close(inside)
  try:
    os.write(terminal, f'{begin} -d $PWD/dump; echo rea""dy\n'.encode())
    _read(terminal, 'ready')
    for line, (word,) in single.items():
      os.write(terminal, f'{line}\t'.encode())
      _read(terminal, line[: line.rindex(' ') + 1] + word)
      os.write(terminal, b'\x15')  # the line is thrown away
  finally:
    shell.kill()
    shell.wait()
    os.close(terminal)


def test_another_shell_is_refused(capsys):
  assert runs.jaxssl('completion', 'tcsh') == 2
  assert 'unknown shell' in capsys.readouterr().err


def _in_words(line):
  *words, last = line.split(' ')
  return f"try {' '.join(words)} '{last}'"


def _run(folder, command):
  done = subprocess.run(
    command, cwd=folder, capture_output=True, text=True, check=True
  )
  return [sorted(set(line.split())) for line in done.stdout.splitlines()]


def _read(terminal, expected):
  seen, end = '', time.monotonic() + 120
  while expected not in seen:
    assert time.monotonic() < end, seen
    seen += os.read(terminal, 4096).decode(errors='replace')
