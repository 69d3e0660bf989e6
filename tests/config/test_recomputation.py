import pytest

from jaxssl.config import recomputation

SECTIONS = {'encoder': {'name': 'x', 'remat': True}, 'head': {}, 'seed': 0}


def test_recomputation_is_switched_off_everywhere():
  found = recomputation.without_recomputation(SECTIONS)
  assert found == {**SECTIONS, 'encoder': {'name': 'x', 'remat': False}}


def test_a_batch_in_parts_is_whole():
  sections = {**SECTIONS, 'train': {'steps': 3, 'micro_batches': 4}}
  found = recomputation.without_recomputation(sections)
  assert found['train'] == {'steps': 3, 'micro_batches': 1}


@pytest.mark.parametrize('remat', [False, True, 'full', 'dots'])
@pytest.mark.parametrize('section', ['encoder', 'text_encoder'])
def test_any_section_may_recompute(section, remat):
  config = {'seed': 0, section: {'name': 'x', 'remat': remat}}
  assert recomputation.recomputes(config) == bool(remat)
