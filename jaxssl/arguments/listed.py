"""Lists of names and of examples, as they stand below the help of a command."""

from collections.abc import Iterable, Sequence
import textwrap

from jaxssl.methods import METHODS
from jaxssl.models.variants import encoder_names

# Of a terminal of 80 columns.
_WIDTH = 78
_DATA = """\
data:
  FOLDER ...           folders of pictures, or with a folder for each class
  'photos/*.jpg'       a pattern; or files, or a .txt list of them
  x.tar x.tfrecord     pictures with captions; also .csv, .tsv, .jsonl tables
  x.parquet            an image data set of Hugging Face; or a folder of such
  photos digits        come with jaxssl (jaxssl[photos]); else a TFDS name
"""
_OVERRIDES = """\
overrides:
  --config.SECTION.KEY=VALUE replaces a value of the config, as often as given,
  for example --config.optim.learning_rate.start=1e-3; jaxssl config METHOD
  lists the keys of a method
"""


def below_configs(examples: Sequence[str]) -> str:
  """Returns what stands below the help of a command that takes a config.

  Args:
    examples: commands.
  """
  return '\n'.join(
    (
      names('methods', METHODS, 'jaxssl methods says what they are'),
      names('encoders', encoder_names(), 'vit_ with any patch works'),
      _DATA,
      _OVERRIDES,
      'examples:\n' + ''.join(f'  {example}\n' for example in examples),
    )
  )


def names(title: str, options: Iterable[str], more: str) -> str:
  """Returns names in lines of 78 columns.

  Args:
    title: what they are.
    options: the names, in their order.
    more: what stands beside the title.
  """
  text = textwrap.fill(
    ' '.join(options),
    width=_WIDTH,
    initial_indent='  ',
    subsequent_indent='  ',
    break_on_hyphens=False,
  )
  return f'{title} ({more}):\n{text}\n'
