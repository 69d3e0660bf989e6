from jaxssl.evals.table import format_table


def test_table_is_aligned_and_in_per_cent():
  table = format_table(
    {'raw pixels': {'kNN': 0.355}, 'trained': {'kNN': 1.0, 'linear': 0.9}}
  )
  assert table.splitlines() == [
    'encoder       kNN  linear',
    '----------  -----  ------',
    'raw pixels   35.5       -',
    'trained     100.0    90.0',
  ]
