"""The pages as a site: every link, heading and picture is there."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
ZENSICAL = pathlib.Path(sys.executable).parent / 'zensical'

needs_builder = pytest.mark.skipif(
  not ZENSICAL.exists(), reason='zensical is not installed'
)


def _pages_of(nav):
  """The files of a navigation, which is lists of name -> file or list."""
  for entry in nav:
    (value,) = entry.values()
    if isinstance(value, list):
      yield from _pages_of(value)
    else:
      yield value


def test_every_page_is_in_the_navigation():
  nav = yaml.safe_load((ROOT / 'launch' / 'site.yml').read_text())['nav']
  listed = sorted(_pages_of(nav))
  pages = [*ROOT.glob('*.md'), *(ROOT / 'docs').rglob('*.md')]
  expected = [str(path.relative_to(ROOT)) for path in pages]
  assert listed == sorted([*expected, 'benchmarks/results/README.md'])


def test_every_result_is_listed():
  folder = ROOT / 'benchmarks' / 'results'
  text = (folder / 'README.md').read_text()
  for path in folder.glob('*.md'):
    assert path.name == 'README.md' or f']({path.name})' in text


def test_every_file_that_a_page_names_is_there():
  """Zensical notices missing pages and headings, but no missing pictures."""
  links = [
    path.parent / target.partition('#')[0]
    for path in [*ROOT.glob('*.md'), *(ROOT / 'docs').rglob('*.md')]
    for target in re.findall(r'\]\(([^)\s]+)\)', path.read_text())
    if '://' not in target
  ]
  assert len(links) > 100
  assert [link for link in links if not link.exists()] == []


@pytest.fixture(scope='module')
def site(tmp_path_factory):
  """A folder with the pages and the site that was made of them."""
  folder = tmp_path_factory.mktemp('site')
  done = subprocess.run(
    [str(ROOT / 'launch' / 'site.sh')],
    env={**os.environ, 'ZENSICAL': str(ZENSICAL), 'SITE': str(folder)},
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.returncode == 0, done.stdout + done.stderr
  return folder


@needs_builder
def test_site_is_built(site):
  home = (site / 'html' / 'index.html').read_text()
  assert 'docs/choose/' in home
  assert (site / 'html' / 'docs' / 'images' / 'features.png').exists()
  assert (site / 'html' / 'docs' / 'notebooks' / 'features.ipynb').exists()


@needs_builder
@pytest.mark.parametrize(
  'link',
  [
    '[x](nothing.md)',
    '[x](data.md#nothing)',
    '[x](#nothing)',
  ],
)
def test_a_link_to_nothing_is_noticed(link, site, tmp_path):
  shutil.copytree(site / 'pages', tmp_path / 'pages')
  shutil.copy(site / 'mkdocs.yml', tmp_path)
  with (tmp_path / 'pages' / 'docs' / 'faq.md').open('a') as page:
    page.write(f'\n{link}\n')
  done = subprocess.run(
    [str(ZENSICAL), 'build', '--strict'],
    cwd=tmp_path,
    capture_output=True,
    check=False,
  )
  assert done.returncode == 1
