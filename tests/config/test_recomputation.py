import pytest

from jaxssl.config import recomputation

SECTIONS = {'encoder': {'name': 'x', 'remat': True}, 'head': {}, 'seed': 0}


def test_recomputation_is_switched_off_everywhere():
  found = recomputation.without_recomputation(SECTIONS)
  assert found == {**SECTIONS, 'encoder': {'name': 'x', 'remat': False}}


@pytest.mark.parametrize('remat', [False, True, 'full', 'dots'])
@pytest.mark.parametrize('section', ['encoder', 'text_encoder'])
def test_any_section_may_recompute(section, remat):
  config = {'seed': 0, section: {'name': 'x', 'remat': remat}}
  assert recomputation.recomputes(config) == bool(remat)
