from PIL import Image
import pytest

from jaxssl.pictures.shift import shift_plot


@pytest.mark.parametrize('baselines', [{}, {'v2': [(0.5, 0.4), (0.7, 0.6)]}])
def test_plot_is_written(tmp_path, baselines):
  path = tmp_path / 'shift.png'
  shift_plot({'v2': (0.6, 0.5), 'a': (1.0, 0.0)}, baselines, path)
  with Image.open(path) as picture:
    assert picture.size[0] > 300
