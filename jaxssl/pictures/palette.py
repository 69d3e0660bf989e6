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


# For more classes: the ten hues of Tableau 20 and their light companions.
MANY_COLORS = (
  '#1F77B4', '#FF7F0E', '#2CA02C', '#D62728', '#9467BD',
  '#8C564B', '#E377C2', '#7F7F7F', '#BCBD22', '#17BECF',
  '#AEC7E8', '#FFBB78', '#98DF8A', '#FF9896', '#C5B0D5',
  '#C49C94', '#F7B6D2', '#C7C7C7', '#DBDB8D', '#9EDAE5',
)  # fmt: skip


def class_styles(num_classes: int) -> list[dict[str, str]]:
  """Returns a colour and a marker for each class, as matplotlib arguments.

  Up to seven classes have colours that colour-blind readers tell apart, and
  one marker; more have twenty colours. The marker changes from class to class
  as well, and 140 classes differ.

  Args:
    num_classes: how many are needed; styles repeat from the 141st on.
  """
  if num_classes <= len(COLORS):
    return [
      {'color': color, 'marker': MARKERS[0]} for color in COLORS[:num_classes]
    ]
  # Seven markers and twenty colours have no common divisor.
  pairs = zip(itertools.cycle(MANY_COLORS), itertools.cycle(MARKERS))
  return [
    {'color': color, 'marker': marker}
    for color, marker in itertools.islice(pairs, num_classes)
  ]
