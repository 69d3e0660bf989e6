"""Colours and shapes that stay apart for colour-blind readers."""

import itertools

# Okabe & Ito 2008, without black and with yellow last: it is weak on white.
COLORS = (
  '#0072B2',
  '#D55E00',
  '#009E73',
  '#CC79A7',
  '#56B4E9',
  '#E69F00',
  '#F0E442',
)
MARKERS = ('o', '^', 's', 'X', 'D', 'v', 'P')


def class_styles(num_classes: int) -> list[dict[str, str]]:
  """Returns a colour and a marker for each class, as matplotlib arguments.

  The first 49 classes differ; colours change first, then shapes.

  Args:
    num_classes: how many are needed; styles repeat from the 50th on.
  """
  pairs = ((color, marker) for marker in MARKERS for color in COLORS)
  return [
    {'color': color, 'marker': marker}
    for color, marker in itertools.islice(itertools.cycle(pairs), num_classes)
  ]
