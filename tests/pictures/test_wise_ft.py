from jaxssl.pictures.wise_ft import wise_ft_curve


def test_a_picture_is_written(tmp_path):
  found = {a: {'reference': a, 'shifted': a * (1 - a)} for a in (0.0, 0.5, 1.0)}
  wise_ft_curve(found, tmp_path / 'curve.png')
  assert (tmp_path / 'curve.png').stat().st_size > 5000
