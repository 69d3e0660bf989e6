import json

from PIL import Image

from benchmarks.report import curves


def test_five_runs_are_two_rows_of_panels(tmp_path):
  workdirs = []
  for name in 'abcde':
    workdirs.append(tmp_path / name)
    workdirs[-1].mkdir()
    lines = ({'step': 0, 'knn/top1': 0.1}, {'step': 1, 'loss': 2.0})
    text = '\n'.join(map(json.dumps, lines))
    (workdirs[-1] / 'metrics.jsonl').write_text(text)
  curves.draw(workdirs, tmp_path / 'curves.png')
  with Image.open(tmp_path / 'curves.png') as picture:
    assert picture.size == (1560, 570)
