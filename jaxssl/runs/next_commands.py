"""What one does after training, as commands to paste."""

import os
import shlex


def next_commands(
  workdir: str | os.PathLike[str],
  *,
  has_text: bool,
  has_classes: bool,
  is_of_timm: bool,
) -> tuple[str, ...]:
  """Returns three commands with the paths of a run that is finished.

  Args:
    workdir: workdir of the run.
    has_text: whether it is an image-text run.
    has_classes: whether its data have classes.
    is_of_timm: whether timm has its encoder.
  """
  here = shlex.quote(os.fspath(workdir))

  def below(name: str) -> str:
    return shlex.quote(os.path.join(os.fspath(workdir), name))

  if has_text:
    first = f"jaxssl search 'a red cup' --workdir {here}"
  elif has_classes:
    first = f'jaxssl eval knn linear --workdir {here}'
  else:
    first = f'jaxssl embed --workdir {here} --out {below("features.npz")}'
  form = 'timm' if is_of_timm else 'safetensors'
  return (
    first,
    f'jaxssl visualize --workdir {here}',
    f'jaxssl export {form} --workdir {here} --out {below(form)}',
  )
