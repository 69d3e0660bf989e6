import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
SCRIPTS = sorted(
  path
  for folder in ('launch', 'benchmarks')
  for path in (ROOT / folder).iterdir()
  if path.suffix in ('.sh', '.sbatch')
)


@pytest.mark.parametrize('path', SCRIPTS, ids=lambda path: path.name)
def test_shellcheck_has_nothing_to_say(path):
  beside_python = str(pathlib.Path(sys.executable).parent)
  program = shutil.which('shellcheck', path=beside_python) or shutil.which(
    'shellcheck'
  )
  if program is None:
    pytest.skip('shellcheck is not installed')
  done = subprocess.run(
    [program, '--shell=bash', '--external-sources', str(path)],
    cwd=ROOT,
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stdout
