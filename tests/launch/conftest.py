"""Programs that only record how they are called."""

import os
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).parents[2]


class Fakes:
  """A folder at the head of PATH with stand-ins for programs."""

  def __init__(self, folder: pathlib.Path):
    self.folder, self._log = folder, folder / 'calls'
    self._log.write_text('')

  def add(self, name: str, script: str = '') -> None:
    """Adds a program that records its call and then runs a script."""
    path = self.folder / name
    path.write_text(
      f'#!/usr/bin/env bash\necho "{name} $*" >> {self._log}\n{script}\n'
    )
    path.chmod(0o755)

  @property
  def calls(self) -> list[str]:
    """Every call, in order."""
    return self._log.read_text().splitlines()

  def run(self, *command, **variables) -> subprocess.CompletedProcess:
    """Runs a script of launch/ with these programs and variables."""
    path = f'{self.folder}:{os.environ["PATH"]}'
    environment = {**os.environ, 'PATH': path, **variables}
    return subprocess.run(
      ['bash', *command],
      cwd=ROOT,
      env=environment,
      capture_output=True,
      text=True,
      timeout=60,
      check=False,
    )


@pytest.fixture
def fakes(tmp_path) -> Fakes:
  """An empty folder of stand-ins."""
  return Fakes(tmp_path)
