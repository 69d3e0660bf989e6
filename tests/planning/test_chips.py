import pytest

from jaxssl import errors
from jaxssl.planning import chips


def test_version_decides_the_chip():
  assert chips.tpu_of('v5e:4x4') == chips.tpu_of('v5e:16x16')
  assert chips.tpu_of('v4:2x2x4').memory == 32 * chips.GIB


@pytest.mark.parametrize(
  'topology', ['v5e', 'v5e:', 'v5e:4xb', '4x4', 'v5e:²x2', 'v5e:0x4']
)
def test_topology_needs_version_and_sides(topology):
  with pytest.raises(errors.UserError, match='v5e:4x4'):
    chips.tpu_of(topology)


def test_unknown_names_are_user_errors():
  with pytest.raises(errors.UserError, match='v5e'):
    chips.tpu_of('v5x:4x4')
  with pytest.raises(errors.UserError, match='h100'):
    chips.gpu('h10')
