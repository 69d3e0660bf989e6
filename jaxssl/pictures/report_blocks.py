"""Pieces of a report, as HTML; all texts may be of data."""

import base64
from collections.abc import Mapping, Sequence
import io
from typing import Any

import numpy as np

from jaxssl import errors
from jaxssl.pictures import grid
from jaxssl.pictures.page import text
from jaxssl.pictures.panel import Column, Panel
from jaxssl.runs.results import what_of

_SMALL = 64  # pixels; such pictures are enlarged without smoothing

STYLE = """
h1 { margin-bottom: .25rem; }
.lead { color: var(--weak); margin: 0 0 1rem; }
progress { width: 100%; height: .6rem; margin-bottom: 1rem;
  accent-color: #0072B2; }
.box { border: 1px solid var(--line); border-left: .35rem solid #009E73;
  border-radius: 6px; background: var(--box); padding: .6rem 1rem;
  margin: 1rem 0; }
.box.bad { border-left-color: #D55E00; }
.box p { margin: .2rem 0; max-width: none; }
.curves { display: grid; gap: 1.5rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); }
.curve svg { width: 100%; height: auto; display: block; }
.curve text { fill: var(--weak); font-size: 13px; }
.curve figcaption { font-weight: 500; }
.line { fill: none; stroke: #0072B2; stroke-width: 2.5; }
.dot { fill: #0072B2; }
.grid { stroke: var(--line); }
.level { stroke: #D55E00; stroke-dasharray: 6 4; }
.wide { overflow-x: auto; }
.wide table { min-width: 28rem; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
.panel { display: grid; gap: .6rem .5rem; min-width: max-content; }
.panel div { width: 7rem; }
.panel b { font-weight: 500; color: var(--weak); font-size: .85rem; }
.panel img { width: 7rem; height: 7rem; object-fit: contain; }
.right img { border: 3px solid #009E73; }
.wrong img { border: 3px solid #D55E00; }
.small img, img.small { image-rendering: pixelated; }
.panel p { margin: .1rem 0 0; font-size: .8rem; line-height: 1.3;
  overflow-wrap: anywhere; }
.from { color: var(--weak); }
.cards { display: grid; gap: 1rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 21rem), 1fr)); }
.card { display: flex; gap: .8rem; border: 1px solid var(--line);
  border-radius: 6px; padding: .7rem; }
.card img { width: 7rem; height: 7rem; object-fit: contain; flex: none; }
.card p { margin: 0 0 .3rem; font-size: .85rem; overflow-wrap: anywhere; }
.map img { width: min(100%, 48rem); }
@media (max-width: 40rem) { body { padding: 1rem .8rem 3rem; }
  th, td { padding-right: .7rem; }
  .curve text { font-size: 19px; } }
"""


def heading(title: str, words: str = '') -> str:
  """Returns a heading, and a paragraph below it."""
  return f'<h2>{text(title)}</h2>\n' + (
    f'<p>{text(words)}</p>' if words else ''
  )


def box(lines: Sequence[str], *, bad: bool = False) -> str:
  """Returns a box of short lines; `bad` ones are marked."""
  kind = 'box bad' if bad else 'box'
  body = ''.join(f'<p>{text(line)}</p>' for line in lines)
  return f'<div class="{kind}">{body}</div>'


def picture(pixels: np.ndarray, alt: str) -> str:
  """Returns an image in the page itself: JPEG, or PNG where it is small.

  Args:
    pixels: uint8 [H, W, 3].
    alt: what it shows.

  Raises:
    UserError: if Pillow is not installed.
  """
  try:
    from PIL import Image
  except ImportError as error:
    raise errors.UserError(
      'writing pictures needs Pillow: pip install "jaxssl[data]"'
    ) from error
  is_small = max(pixels.shape[:2]) <= _SMALL
  kind, options = ('PNG', {}) if is_small else ('JPEG', {'quality': 85})
  file = io.BytesIO()
  Image.fromarray(pixels).save(file, format=kind, **options)
  data = base64.b64encode(file.getvalue()).decode()
  style = ' class="small"' if is_small else ''
  return (
    f'<img{style} alt="{text(alt)}" '
    f'src="data:image/{kind.lower()};base64,{data}">'
  )


def panel(drawn: Panel) -> str:
  """Returns a panel with its words as text, under its heading."""
  count = len(drawn.columns)
  titles = ''.join(f'<div><b>{text(c.title)}</b></div>' for c in drawn.columns)
  cells = ''.join(
    _cell(column, row)
    for row in range(len(drawn.columns[0].images))
    for column in drawn.columns
  )
  return (
    f'{heading(drawn.title, drawn.text)}<div class="wide"><div class="panel" '
    f'style="grid-template-columns:repeat({count},7rem)">{titles}{cells}'
    '</div></div>'
  )


def _cell(column: Column, row: int) -> str:
  words = ''
  for kind, found in (('', column.captions), ('from', column.names)):
    if len(found) and found[row]:
      lines = map(text, grid.lines_of(found[row]))
      words += f'<p class="{kind}">{"<br>".join(lines)}</p>'
  is_right = column.is_right[row] if column.is_right else None
  kind = {None: '', True: ' class="right"', False: ' class="wrong"'}[is_right]
  shown = picture(column.images[row], column.title)
  return f'<div{kind}>{shown}{words}</div>'


def results(found: Mapping[str, Mapping[str, Any]]) -> str:
  """Returns a table of results with chance and baselines, in per cent.

  Args:
    found: what `runs.results.read_results` returns.
  """
  rows = [_result(result) for result in found.values()]
  names = list(dict.fromkeys(name for _, _, row in rows for name in row))
  head = ''.join(
    f'<th class="number" scope="col">{text(name)}</th>' for name in names
  )
  body = ''.join(
    f'<tr><th scope="row">{text(title)}</th><td>{text(metric)}</td>'
    + ''.join(f'<td class="number">{_percent(row.get(n))}</td>' for n in names)
    + '</tr>'
    for title, metric, row in rows
  )
  return (
    f'<div class="wide"><table><tr><th>protocol, data</th><th>%</th>{head}'
    f'</tr>{body}</table></div>'
  )


def _result(result: Mapping[str, Any]) -> tuple[str, str, dict[str, float]]:
  """Returns what a result is of, its first metric, and that by encoder."""
  metrics = result['metrics']
  names = [n for n in metrics if not n.startswith('num_')]
  metric = 'top1' if 'top1' in metrics else names[0]
  compared = {'chance': result.get('chance', {})}
  compared |= result.get('baselines', {})
  row = {n: m[metric] for n, m in compared.items() if metric in m}
  title = f'{result.get("protocol")}, {what_of(result)}'
  return title, metric, {'trained encoder': metrics[metric], **row}


def _percent(value: float | None) -> str:
  return '-' if value is None else f'{100 * value:.1f}'


def cards(items: Sequence[tuple[np.ndarray, Sequence[str]]]) -> str:
  """Returns pictures with lines of text beside them."""
  return (
    '<div class="cards">'
    + ''.join(
      f'<div class="card">{picture(pixels, "picture")}<div>'
      + ''.join(f'<p>{text(line)}</p>' for line in lines)
      + '</div></div>'
      for pixels, lines in items
    )
    + '</div>'
  )
