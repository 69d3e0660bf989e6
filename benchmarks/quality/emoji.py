"""CLIP from one artist's emoji to another's, beside PyTorch.

Two towers learn from the 1,911 pictures and names of `emoji-google.tar` and are
judged on the same emoji as another artist drew them (`emoji-twitter.tar`):
zero-shot classification by name, with templates and with tags, of groups and
subgroups by prompts, and retrieval. Trained twice from the same weights: by
jaxssl, and by a PyTorch loop with timm's ResNet, transformers' text tower,
torchvision's transforms and open_clip's loss. `jaxssl.evals` judges both.

  python -m benchmarks.quality.emoji --data_dir DIR --seeds 0 1 2 \
    --runs runs.jsonl

Runs are kept in that file, so seeds can be run one at a time, and are summed up
over all that are in it. Noise is judged as in `benchmarks.quality.pipeline`. Of
the training pictures every caption is known; what is measured is transfer to
another style.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
import json
import math
import os
import pathlib
import statistics
import tempfile
import time
from typing import Any

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')
os.environ.setdefault('CUDA_VISIBLE_DEVICES', '')

import numpy as np

from benchmarks.quality import emoji_jaxssl, emoji_recipe
from benchmarks.quality.pipeline import listed, tolerance
from benchmarks.report import rows
from jaxssl.evals import zeroshot
from jaxssl.evals.features import Features
from jaxssl.evals.retrieval import retrieval_eval

FILES = ('emoji-google.tar', 'emoji-twitter.tar')
CHUNK = 256

Encode = Callable[[Any], np.ndarray]


def judge(
  emoji: emoji_recipe.Emoji, encode_image: Encode, encode_text: Encode
) -> dict[str, float]:
  """Returns percentages by name of the task.

  Groups and subgroups are described by their own names, which no caption has
  as such, and by the names of their members.
  """

  def texts(sentences: Sequence[str]) -> np.ndarray:
    return _in_chunks(encode_text, list(sentences))

  images = _in_chunks(encode_image, emoji.images)
  number = np.arange(len(images))
  templates = emoji_recipe.TEMPLATES
  named = zeroshot.encode_classes(texts, emoji.names, templates)
  bare, tags = texts(emoji.names), texts(emoji.tags)
  described = zeroshot.class_features(np.stack([named, tags], axis=1))
  found: dict[str, float] = {}
  for kind, classes in (
    ('name', bare),
    ('templates', named),
    ('templates and tags', described),
  ):
    metrics = zeroshot.zeroshot_eval(Features(images, number), classes)
    found |= {f'{kind}, top-{k}': metrics[f'top{k}'] for k in (1, 5)}
  for kind, of in (('group', emoji.group), ('subgroup', emoji.subgroup)):
    names, labels = np.unique(of, return_inverse=True)
    by_name = zeroshot.encode_classes(texts, names.tolist(), templates)
    by_members = np.concatenate(
      [
        zeroshot.class_features(named[None, labels == label])
        for label in range(len(names))
      ]
    )
    for how, classes in (('name', by_name), ('members', by_members)):
      data = Features(images, labels.astype(np.int32))
      metrics = zeroshot.zeroshot_eval(data, classes)
      found[f'{kind} by its {how}, top-1'] = metrics['top1']
  recall = retrieval_eval(images, bare, number)
  found |= {k: v for k, v in recall.items() if '_r' in k}
  return {name: 100 * value for name, value in found.items()}


def _in_chunks(encode: Encode, values: Any) -> np.ndarray:
  """Encodes so many at a time, all of one shape."""
  count = len(values)
  missing = -count % CHUNK
  filled = (
    values + values[:1] * missing
    if isinstance(values, list)
    else np.concatenate([values, np.repeat(values[:1], missing, axis=0)])
  )
  starts = range(0, len(filled), CHUNK)
  parts = [encode(filled[start : start + CHUNK]) for start in starts]
  return np.concatenate(parts)[:count]


def run_seed(ours, train, test, tokenizer, seed: int) -> dict[str, Any]:
  """Trains both sides from the same weights; returns what was measured."""
  from benchmarks.quality.emoji_torch import Theirs

  state = ours.start(seed)
  theirs = Theirs(ours.towers(state), tokenizer)
  times = [time.process_time()]
  state, our_loss = ours.train(state, seed)
  times.append(time.process_time())
  their_loss = theirs.train(train, seed)
  times.append(time.process_time())
  towers = ours.towers(state)
  return {
    'ours': judge(
      test,
      lambda images: ours.encode_image(towers, images),
      lambda texts: ours.encode_text(towers, texts),
    ),
    'theirs': judge(test, theirs.encode_image, theirs.encode_text),
    'losses': (our_loss, their_loss),
    'cpu_seconds': tuple(np.diff(times).tolist()),
  }


def summaries(runs: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
  """Yields a row for every task."""
  for task in runs[0]['ours']:
    ours, theirs = (
      [run[side][task] for run in runs] for side in ('ours', 'theirs')
    )
    detail = f'seeds: ours {listed(ours)}, theirs {listed(theirs)}'
    if len(runs) > 1:
      detail += f'; {_judged(ours, theirs)}'
    yield rows.row(
      f'emoji/{task}',
      ours=statistics.mean(ours),
      theirs=statistics.mean(theirs),
      unit='%',
      peer='PyTorch with timm, transformers, torchvision, open_clip',
      detail=detail,
    )


def _judged(ours: list[float], theirs: list[float]) -> str:
  difference = statistics.mean(ours) - statistics.mean(theirs)
  noise = tolerance(ours, theirs)
  verdict = 'within' if abs(difference) <= noise else 'NOT within'
  return (
    f'difference {difference:+.2f} points, noise {noise:.2f}: {verdict} noise'
  )


def markdown(runs: list[dict[str, Any]]) -> str:
  """Returns the table of `benchmarks/results/emoji.md`."""
  lines = [
    '| | jaxssl | PyTorch | difference | noise | |',
    '|---|---|---|---|---|---|',
  ]
  for task in runs[0]['ours']:
    sides = [[run[side][task] for run in runs] for side in ('ours', 'theirs')]
    means = [statistics.mean(values) for values in sides]
    cells = [
      f'{mean:.2f} ({listed(values)})'
      for mean, values in zip(means, sides, strict=True)
    ]
    noise = tolerance(*sides) if len(runs) > 1 else math.nan
    difference = means[0] - means[1]
    verdict = '' if abs(difference) <= noise else 'not '
    cells += [f'{difference:+.2f}', f'{noise:.2f}', f'{verdict}within noise']
    lines.append(f'| {" | ".join([task, *cells])} |')
  return '\n'.join(lines)


def all_rows(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
  train, test = (
    emoji_recipe.load(pathlib.Path(args.data_dir) / name) for name in FILES
  )
  with tempfile.TemporaryDirectory() as folder:
    tokenizer = emoji_recipe.train_tokenizer(
      train.captions, pathlib.Path(folder) / 'tokenizer.json'
    )
  ours = emoji_jaxssl.Ours(train, tokenizer)
  file = pathlib.Path(args.runs)
  kept = _kept(file)
  for seed in args.seeds:
    if seed not in kept:
      kept[seed] = run_seed(ours, train, test, tokenizer, seed)
      with file.open('a') as opened:
        what = {'seed': seed, 'recipe': repr(emoji_recipe.RECIPE)}
        opened.write(json.dumps(what | kept[seed]) + '\n')
  runs = [kept[seed] for seed in sorted(kept)]
  print(markdown(runs))
  yield from summaries(runs)


def _kept(file: pathlib.Path) -> dict[int, dict[str, Any]]:
  """Returns the runs of this recipe in a file, by their seeds."""
  lines = file.read_text().splitlines() if file.exists() else ()
  runs = [json.loads(line) for line in lines]
  recipe = repr(emoji_recipe.RECIPE)
  return {run['seed']: run for run in runs if run['recipe'] == recipe}


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--data_dir', required=True)
  parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
  parser.add_argument('--runs', default='emoji_runs.jsonl')
  parser.add_argument('--out', help='file to write the rows to, JSON lines')
  args = parser.parse_args()
  for name in FILES:
    if not (pathlib.Path(args.data_dir) / name).is_file():
      parser.exit(message=f'not run: there is no {name} in {args.data_dir}\n')
  rows.report(all_rows(args), args.out)


if __name__ == '__main__':
  main()
