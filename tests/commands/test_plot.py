"""`jaxssl plot`: pictures of a run."""

import shutil

from PIL import Image

from tests.commands import runs


def test_curve_and_map_of_a_run_without_pictures(finished_run, tmp_path):
  workdir = tmp_path / 'run'
  shutil.copytree(finished_run, workdir)
  assert not (workdir / 'pictures').exists()
  few = ('--shots', '1', '2', '--draws=2', '--limit=200')
  assert runs.jaxssl('eval', 'fewshot', f'--workdir={workdir}', *few) == 0
  assert runs.jaxssl('plot', f'--workdir={workdir}', '--limit=40') == 0
  for name in ('curve.png', 'features.png', 'fewshot-v2-digits.png'):
    with Image.open(workdir / 'pictures' / name) as picture:
      assert min(picture.size) > 100
