"""One page that shows the pictures of a run, whole in a single file."""

import base64
from collections.abc import Mapping, Sequence
import dataclasses
import html
import pathlib

from jaxssl import atomic_file
from jaxssl.printable import printable

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1b1b; --paper: #fff;
  --weak: #5c5c5c; --line: #d9d9d9; --box: #f5f5f5; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e8; --paper: #16181b;
  --weak: #a5a5a5; --line: #3a3d42; --box: #212429; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 2rem 1.25rem 4rem;
  color: var(--ink); background: var(--paper);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 1rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .5rem; }
p { max-width: 44rem; margin: .5rem 0 1rem; }
table { border-collapse: collapse; }
th, td { text-align: left; padding: .2rem 1.2rem .2rem 0; vertical-align: top; }
th { font-weight: 500; color: var(--weak); }
figure { margin: 0; overflow-x: auto; }
img { display: block; max-width: 100%; height: auto; background: #fff;
  border: 1px solid var(--line); border-radius: 6px; }
pre { background: var(--box); border: 1px solid var(--line); padding: 1rem;
  border-radius: 6px; overflow-x: auto; font-size: .85rem; line-height: 1.4; }
summary { cursor: pointer; margin: 2.5rem 0 .75rem; font-size: 1.2rem;
  font-weight: 600; }
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Section:
  """A picture of the page.

  Attributes:
    title: one line.
    text: a paragraph.
    alt: what the picture shows, in words.
    picture: PNG file.
  """

  title: str
  text: str
  alt: str
  picture: pathlib.Path


def write_page(
  path: pathlib.Path,
  *,
  title: str,
  facts: Mapping[str, str],
  sections: Sequence[Section],
  config: str | None,
) -> None:
  """Writes an HTML page that needs no other file and no network.

  The pictures are in the page itself; it follows the reader's choice of light
  or dark, and runs no script.

  Args:
    path: file to write or replace.
    title: title of the page.
    facts: what stands in a table at the top.
    sections: from top to bottom.
    config: to be folded out at the end, if there is one.

  Raises:
    jaxssl.errors.UserError: if the file cannot be written.
  """
  parts = [f'<h1>{html.escape(title)}</h1>', table(facts)]
  parts += [_section(section) for section in sections]
  if config is not None:
    parts.append(
      '<details><summary>Config</summary>\n'
      f'<pre>{html.escape(config)}</pre></details>'
    )
  atomic_file.write_text(path, document(title, parts))


def document(
  title: str,
  parts: Sequence[str],
  *,
  style: str = '',
  seconds: int | None = None,
) -> str:
  """Returns a whole HTML page.

  Args:
    title: title of the window.
    parts: HTML, from top to bottom.
    style: CSS besides that of every page.
    seconds: load the page again after so many; None: never.
  """
  body = '\n'.join(parts)
  again = (
    f'<meta http-equiv="refresh" content="{seconds}">\n' if seconds else ''
  )
  return (
    '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
    '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    f'{again}<title>{text(title)}</title>\n'
    f'<style>{_STYLE}{style}</style>\n</head>\n'
    f'<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n'
  )


def text(value: str) -> str:
  """Returns a text, which may be of data, as HTML that shows it."""
  return html.escape(printable(value))


def table(facts: Mapping[str, str]) -> str:
  """Returns names and values as an HTML table."""
  rows = (
    f'<tr><th scope="row">{text(name)}</th><td>{text(value)}</td></tr>'
    for name, value in facts.items()
  )
  return '<table>\n' + '\n'.join(rows) + '\n</table>'


def _section(section: Section) -> str:
  data = base64.b64encode(section.picture.read_bytes()).decode()
  return (
    f'<section>\n<h2>{html.escape(section.title)}</h2>\n'
    f'<p>{html.escape(section.text)}</p>\n<figure>'
    f'<img alt="{html.escape(section.alt)}" '
    f'src="data:image/png;base64,{data}"></figure>\n</section>'
  )
