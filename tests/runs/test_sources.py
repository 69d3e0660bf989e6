import pytest

from jaxssl.runs import sources


@pytest.mark.parametrize(
  ('text', 'parts'),
  [
    ('imagenet_v2', None),
    ('imagenet_v2:test', ('imagenet_v2', 'test')),
    ('imagenet_v2:test[:10%]', ('imagenet_v2', 'test[:10%]')),
    ('v2:test[:10%]+train[:5%]', ('v2', 'test[:10%]+train[:5%]')),
    ('gs://bucket/v2', None),
    ('gs://bucket/v2:test', ('gs://bucket/v2', 'test')),
    ('a:b/c', None),
  ],
)
def test_a_split_is_behind_the_last_colon_that_is_no_part_of_a_path(
  text, parts
):
  found = sources._WITH_SPLIT.fullmatch(text)
  assert (found and found.groups()) == parts
