"""What one does after training, as commands to paste."""

import os
import shlex

from jaxssl.printable import printable

_LETTERS = 40


def next_commands(
  workdir: str | os.PathLike[str],
  *,
  sentence: str | None,
  has_classes: bool,
  is_of_timm: bool,
) -> tuple[str, ...]:
  """Returns three commands with the paths of a run that is finished.

  Args:
    workdir: workdir of the run.
    sentence: a caption of its data; None unless it is an image-text run.
    has_classes: whether its data have classes.
    is_of_timm: whether timm has its encoder.
  """
  here = shlex.quote(os.fspath(workdir))

  def below(name: str) -> str:
    return shlex.quote(os.path.join(os.fspath(workdir), name))

  second = f'jaxssl report --workdir {here}'
  if sentence is not None:
    first = f'jaxssl eval retrieval --workdir {here}'
    words = shlex.quote(_start(sentence))
    second = (
      f'jaxssl search {words} --workdir {here} --out {below("found.png")}'
    )
  elif has_classes:
    first = f'jaxssl eval knn linear --workdir {here}'
  else:
    first = f'jaxssl embed --workdir {here} --out {below("features.npz")}'
  form = 'timm' if is_of_timm else 'safetensors'
  return (
    first,
    second,
    f'jaxssl export {form} --workdir {here} --out {below(form)}',
  )


def _start(sentence: str) -> str:
  """Returns the first words, as a terminal may show and a shell take them."""
  words = printable(' '.join(sentence.split())).lstrip('-')
  return words[:_LETTERS].strip() or 'a'
