from jaxssl.pictures.verdict import verdict


def _points(*values):
  names = ('loss', 'knn/top1', 'effective_rank', 'feature_std')
  return [
    {'step': step, **dict(zip(names, row, strict=True))}
    for step, row in enumerate(values)
  ]


def test_what_is_better_speaks_for_it():
  points = _points((3.0, 0.2, 4.0, 0.5), (1.0, 0.5, 6.0, 0.7))
  against, for_it = verdict(points, guessing=2.0, most_frequent=0.1)
  assert against == []
  assert for_it == [
    'Loss 1.000; an answer that does not look at the picture has 2.000.',
    'Online kNN 50.0%; at the start 20.0%, the most frequent class 10.0%.',
    'Effective rank 6.0, spread 0.70 (1: even; 0: all pictures are the same to '
    'it).',
  ]


def test_what_is_no_better_speaks_against_it():
  points = _points((3.0, 0.2, 4.0, 0.5), (2.0, 0.2, 1.0, 0.0))
  against, for_it = verdict(points, guessing=2.0, warning='one direction')
  assert len(for_it) == 1
  assert against == [
    'Collapse: one direction.',
    'Loss 2.000 is no better than guessing; an answer that does not look at '
    'the picture has 2.000.',
    'Online kNN 20.0% is no better than before training; at the start 20.0%.',
  ]


def test_nothing_is_said_without_numbers():
  assert verdict([]) == ([], [])
  assert verdict([{'step': 0, 'knn/top1': 0.3}]) == ([], [])
